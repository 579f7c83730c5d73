<?php

declare(strict_types=1);

namespace Tests\Unit;

use App\Queue\WorkerHeartbeat;
use Illuminate\Support\Carbon;
use PHPUnit\Framework\TestCase;

final class WorkerHeartbeatTest extends TestCase
{
    private string $file;

    protected function setUp(): void
    {
        $this->file = tempnam(sys_get_temp_dir(), 'heartbeat');
        Carbon::setTestNow('2026-11-22 12:00:00');
    }

    protected function tearDown(): void
    {
        Carbon::setTestNow();
        @unlink($this->file);
    }

    public function testAWorkerThatNeverBeatIsAtFault(): void
    {
        unlink($this->file);

        self::assertStringContainsString('not written', (string) $this->heartbeat()->fault());
    }

    public function testAnIdleWorkerMustBeatOften(): void
    {
        $this->heartbeat()->idle();

        Carbon::setTestNow('2026-11-22 12:00:15');
        self::assertNull($this->heartbeat()->fault());
        Carbon::setTestNow('2026-11-22 12:00:18');
        self::assertStringContainsString('idle) is overdue by 3 s', (string) $this->heartbeat()->fault());
    }

    public function testABusyWorkerMayBeSilentUntilItsJobsTimeout(): void
    {
        $this->heartbeat()->busy('Job', 50);

        Carbon::setTestNow('2026-11-22 12:01:05');
        self::assertNull($this->heartbeat()->fault());
        Carbon::setTestNow('2026-11-22 12:01:06');
        self::assertNotNull($this->heartbeat()->fault());
    }

    public function testHalfAFileIsAFaultAndNoCrash(): void
    {
        file_put_contents($this->file, '{"state":');

        self::assertNotNull($this->heartbeat()->fault());
    }

    private function heartbeat(): WorkerHeartbeat
    {
        return new WorkerHeartbeat($this->file, 15);
    }
}
