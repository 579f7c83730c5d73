<?php

declare(strict_types=1);

namespace Tests\Feature;

use Illuminate\Contracts\Redis\Factory;
use Illuminate\Redis\Connections\Connection;
use RuntimeException;
use Tests\TestCase;

final class HealthTest extends TestCase
{
    public function testAllIsWell(): void
    {
        $this->redis(static fn (): bool => true);

        $this->get('/health')
            ->assertOk()
            ->assertExactJson(['status' => 'ok', 'checks' => ['database' => true, 'redis' => true]])
            ->assertCookieMissing('invoices_session');
    }

    public function testAnUnreachableRedisIsNamedWithoutDetails(): void
    {
        $this->redis(static fn () => throw new RuntimeException('secret-host refused'));

        $this->get('/health')
            ->assertStatus(503)
            ->assertJson(['status' => 'failing', 'checks' => ['database' => true, 'redis' => false]])
            ->assertDontSee('secret-host');
    }

    public function testAnUnreachableDatabaseIsNamed(): void
    {
        config(['database.connections.sqlite.database' => '/nowhere/invoices.sqlite', 'database.default' => 'sqlite']);
        $this->app['db']->purge();
        $this->redis(static fn (): bool => true);

        $this->get('/health')->assertStatus(503)->assertJson(['checks' => ['database' => false, 'redis' => true]]);
    }

    private function redis(callable $answer): void
    {
        $connection = $this->createStub(Connection::class);
        $connection->method('command')->willReturnCallback($answer);
        $redis = $this->createStub(Factory::class);
        $redis->method('connection')->willReturn($connection);
        $this->app->instance(Factory::class, $redis);
    }
}
