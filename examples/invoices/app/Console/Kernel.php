<?php

declare(strict_types=1);

namespace App\Console;

use App\Console\Commands\QueueHealth;
use App\Console\Commands\SlowJob;
use App\Console\Commands\SlowJobs;
use Illuminate\Foundation\Console\Kernel as ConsoleKernel;

final class Kernel extends ConsoleKernel
{
    /** @var list<class-string> */
    protected $commands = [
        QueueHealth::class,
        SlowJob::class,
        SlowJobs::class,
    ];
}
