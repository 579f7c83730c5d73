<?php

declare(strict_types=1);

namespace App\Jobs;

use App\Models\SlowJobRun;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Support\Carbon;

/** Sleeps, and records when it started and finished: the evidence that a stopping worker ends its job exactly once. */
final class SleepInSteps implements ShouldQueue
{
    use Dispatchable;
    use InteractsWithQueue;
    use Queueable;

    private const STEP_MICROSECONDS = 100_000;
    private const MARGIN_SECONDS = 5;

    public int $timeout;

    public function __construct(public readonly string $id, public readonly int $seconds)
    {
        $this->timeout = $seconds + self::MARGIN_SECONDS;
    }

    /** Any longer, and the queue would take the job for lost and hand it to a second worker. */
    public static function longest(): int
    {
        return config('queue.connections.redis.retry_after') - 2 * self::MARGIN_SECONDS;
    }

    public function handle(): void
    {
        $run = SlowJobRun::query()->create([
            'job_id' => $this->id,
            'seconds' => $this->seconds,
            'hostname' => gethostname(),
            'process' => getmypid(),
            'started_at' => Carbon::now(),
        ]);

        // In steps, because a signal cuts a long sleep() short.
        $end = hrtime(true) + $this->seconds * 1_000_000_000;
        while (hrtime(true) < $end) {
            usleep(self::STEP_MICROSECONDS);
        }

        $run->update(['finished_at' => Carbon::now()]);
    }
}
