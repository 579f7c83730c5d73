<?php

declare(strict_types=1);

namespace Tests\Feature;

use App\Jobs\DeliverInvoice;
use App\Jobs\SleepInSteps;
use App\Models\SlowJobRun;
use App\Queue\WorkerHeartbeat;
use Illuminate\Foundation\Testing\RefreshDatabase;
use Illuminate\Queue\Events\Looping;
use Illuminate\Support\Facades\Bus;
use Tests\TestCase;

final class QueueCommandsTest extends TestCase
{
    use RefreshDatabase;

    private string $heartbeat;

    protected function setUp(): void
    {
        $this->heartbeat = sys_get_temp_dir() . '/heartbeat-' . getmypid() . '.json';
        // Read by the configuration, so it must be there before the application boots.
        putenv("QUEUE_HEARTBEAT_FILE={$this->heartbeat}");
        parent::setUp();
    }

    protected function tearDown(): void
    {
        parent::tearDown();
        putenv('QUEUE_HEARTBEAT_FILE');
        @unlink($this->heartbeat);
    }

    public function testWithoutAWorkerTheQueueIsNotHealthy(): void
    {
        $this->artisan('queue:health')->assertFailed();
    }

    public function testALoopingWorkerMakesItHealthy(): void
    {
        event(new Looping('redis', 'default'));

        $this->artisan('queue:health')->assertSuccessful();
    }

    public function testAStaleHeartbeatFails(): void
    {
        $this->app->make(WorkerHeartbeat::class)->idle();

        $this->travel(1)->minutes();
        $this->artisan('queue:health')->assertFailed();
    }

    public function testASlowJobRecordsItsStartAndItsEnd(): void
    {
        $this->artisan('invoices:slow-job', ['seconds' => '0'])->assertSuccessful();

        $run = SlowJobRun::query()->sole();
        self::assertNotNull($run->started_at);
        self::assertNotNull($run->finished_at);
        self::assertSame(getmypid(), (int) $run->process);
        $this->artisan('invoices:slow-jobs')->expectsOutput($run->toJson())->assertSuccessful();
    }

    /** @dataProvider durations */
    public function testADurationMustBeSensible(string $seconds, bool $accepted): void
    {
        Bus::fake();
        $command = $this->artisan('invoices:slow-job', ['seconds' => $seconds]);
        $accepted ? $command->assertSuccessful() : $command->assertFailed();
        $command->run();

        $accepted ? Bus::assertDispatched(SleepInSteps::class) : Bus::assertNothingDispatched();
    }

    /** @return list<array{string, bool}> */
    public static function durations(): array
    {
        return [['10', true], ['80', true], ['81', false], ['-1', false], ['ten', false], ['1.5', false]];
    }

    public function testNoJobMayOutliveItsReservation(): void
    {
        $retryAfter = config('queue.connections.redis.retry_after');

        self::assertLessThan($retryAfter, (new SleepInSteps('id', SleepInSteps::longest()))->timeout);
        self::assertLessThan($retryAfter, (new DeliverInvoice(1))->timeout);
    }
}
