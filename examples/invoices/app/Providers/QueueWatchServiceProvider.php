<?php

declare(strict_types=1);

namespace App\Providers;

use App\Queue\WorkerHeartbeat;
use Illuminate\Queue\Events\JobExceptionOccurred;
use Illuminate\Queue\Events\JobProcessed;
use Illuminate\Queue\Events\JobProcessing;
use Illuminate\Queue\Events\Looping;
use Illuminate\Support\Facades\Event;
use Illuminate\Support\ServiceProvider;

/** Lets the queue worker write its heartbeat, which `php artisan queue:health` reads. */
final class QueueWatchServiceProvider extends ServiceProvider
{
    /** The worker's default job timeout (`queue:work --timeout`), for jobs that name none. */
    private const DEFAULT_TIMEOUT = 60;

    public function register(): void
    {
        $this->app->singleton(WorkerHeartbeat::class, fn (): WorkerHeartbeat => new WorkerHeartbeat(
            config('queue.heartbeat.file'),
            config('queue.heartbeat.stale_after'),
        ));
    }

    public function boot(WorkerHeartbeat $heartbeat): void
    {
        Event::listen(Looping::class, static fn () => $heartbeat->idle());
        Event::listen([JobProcessed::class, JobExceptionOccurred::class], static fn () => $heartbeat->idle());
        Event::listen(JobProcessing::class, static function (JobProcessing $event) use ($heartbeat): void {
            // The connection `sync` runs a job inside the web request: that is no worker.
            if ($event->connectionName !== 'sync') {
                $heartbeat->busy($event->job->resolveName(), $event->job->timeout() ?? self::DEFAULT_TIMEOUT);
            }
        });
    }
}
