<?php

declare(strict_types=1);

namespace App\Queue;

use Illuminate\Support\Carbon;

/**
 * The worker's sign of life: one small file that says until when the worker may stay silent.
 *
 * An idle worker loops every few seconds; one with a job in hand is silent until the job ends or reaches its timeout.
 */
final class WorkerHeartbeat
{
    public function __construct(private readonly string $file, private readonly int $staleAfter)
    {
    }

    public function idle(): void
    {
        $this->beat('idle', $this->staleAfter);
    }

    public function busy(string $job, int $timeout): void
    {
        $this->beat("busy with {$job}", $timeout + $this->staleAfter);
    }

    /** Null when the worker is well, otherwise what is wrong. */
    public function fault(): ?string
    {
        $beat = is_file($this->file) ? json_decode((string) file_get_contents($this->file), true) : null;
        if (!is_array($beat)) {
            return 'the worker has not written a heartbeat yet';
        }

        $overdue = Carbon::now()->getTimestamp() - (int) $beat['silent_until'];

        return $overdue > 0
            ? "the worker (process {$beat['process']}, {$beat['state']}) is overdue by {$overdue} s"
            : null;
    }

    private function beat(string $state, int $silence): void
    {
        $beat = [
            'state' => $state,
            'process' => getmypid(),
            'silent_until' => Carbon::now()->getTimestamp() + $silence,
        ];

        // Written beside and renamed: the health check never reads half a file.
        $draft = $this->file . '.' . getmypid();
        file_put_contents($draft, json_encode($beat, JSON_THROW_ON_ERROR));
        rename($draft, $this->file);
    }
}
