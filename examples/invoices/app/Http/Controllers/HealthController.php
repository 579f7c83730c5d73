<?php

declare(strict_types=1);

namespace App\Http\Controllers;

use Closure;
use Illuminate\Contracts\Redis\Factory as Redis;
use Illuminate\Database\ConnectionResolverInterface as Databases;
use Illuminate\Http\JsonResponse;
use Psr\Log\LoggerInterface;
use Throwable;

/** Can this container serve a request? Asks the database and Redis; both connect within two seconds or fail. */
final class HealthController
{
    public function __construct(
        private readonly Databases $databases,
        private readonly Redis $redis,
        private readonly LoggerInterface $log,
    ) {
    }

    public function __invoke(): JsonResponse
    {
        $checks = [
            'database' => $this->check('database', fn (): mixed => $this->databases->connection()->select('select 1')),
            'redis' => $this->check('redis', fn (): mixed => $this->redis->connection()->command('ping')),
        ];
        $well = !in_array(false, $checks, true);

        return response()
            ->json(['status' => $well ? 'ok' : 'failing', 'checks' => $checks], $well ? 200 : 503)
            ->header('Cache-Control', 'no-store');
    }

    /** The reason goes to the log, not to whoever asks. */
    private function check(string $name, Closure $probe): bool
    {
        try {
            $probe();

            return true;
        } catch (Throwable $cause) {
            $this->log->warning("health check: {$name} does not answer", ['cause' => $cause->getMessage()]);

            return false;
        }
    }
}
