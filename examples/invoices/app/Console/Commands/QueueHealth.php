<?php

declare(strict_types=1);

namespace App\Console\Commands;

use App\Queue\WorkerHeartbeat;
use Illuminate\Console\Command;

final class QueueHealth extends Command
{
    protected $signature = 'queue:health';

    protected $description = 'Fail when the queue worker of this container has stopped working';

    public function handle(WorkerHeartbeat $heartbeat): int
    {
        $fault = $heartbeat->fault();
        if ($fault !== null) {
            $this->error($fault);

            return self::FAILURE;
        }

        $this->info('the worker is well');

        return self::SUCCESS;
    }
}
