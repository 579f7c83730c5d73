<?php

declare(strict_types=1);

namespace App\Console\Commands;

use App\Models\SlowJobRun;
use Illuminate\Console\Command;

final class SlowJobs extends Command
{
    protected $signature = 'invoices:slow-jobs';

    protected $description = 'Print every run of a slow job as one line of JSON';

    public function handle(): int
    {
        foreach (SlowJobRun::query()->orderBy('id')->cursor() as $run) {
            $this->line($run->toJson());
        }

        return self::SUCCESS;
    }
}
