<?php

declare(strict_types=1);

namespace App\Console\Commands;

use App\Jobs\SleepInSteps;
use Illuminate\Console\Command;
use Illuminate\Support\Str;

final class SlowJob extends Command
{
    protected $signature = 'invoices:slow-job {seconds : How long the job takes}';

    protected $description = 'Queue a job that takes its time, to watch a graceful stop; prints its id';

    public function handle(): int
    {
        $seconds = filter_var($this->argument('seconds'), FILTER_VALIDATE_INT);
        $longest = SleepInSteps::longest();
        if ($seconds === false || $seconds < 0 || $seconds > $longest) {
            $this->error("seconds must be a whole number from 0 to {$longest}");

            return self::INVALID;
        }

        $id = (string) Str::uuid();
        SleepInSteps::dispatch($id, $seconds);
        $this->line($id);

        return self::SUCCESS;
    }
}
