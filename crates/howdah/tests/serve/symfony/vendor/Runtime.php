<?php

namespace Howdah;

use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpKernel\HttpKernelInterface;
use Symfony\Component\HttpKernel\TerminableInterface;
use Symfony\Component\Runtime\RunnerInterface;
use Symfony\Component\Runtime\SymfonyRuntime;

/** As symfony/runtime has it from 7.4 on, for a kernel of 6.4. */
class Runtime extends SymfonyRuntime
{
    public function getRunner(?object $application): RunnerInterface
    {
        if ($application instanceof HttpKernelInterface && ($_SERVER['FRANKENPHP_WORKER'] ?? false)) {
            return new Runner($application, (int) ($_SERVER['FRANKENPHP_LOOP_MAX'] ?? 500));
        }

        return parent::getRunner($application);
    }
}

class Runner implements RunnerInterface
{
    public function __construct(private HttpKernelInterface $kernel, private int $most)
    {
    }

    public function run(): int
    {
        ignore_user_abort(true);
        $server = array_filter($_SERVER, static fn (string $key) => !str_starts_with($key, 'HTTP_'), ARRAY_FILTER_USE_KEY);
        $server['APP_RUNTIME_MODE'] = 'web=1&worker=1';
        $handled = 0;
        do {
            $again = frankenphp_handle_request(function () use ($server, &$request, &$response): void {
                $_SERVER += $server;
                $request = Request::createFromGlobals();
                $response = $this->kernel->handle($request);
                $response->send();
            });
            if ($request && $response && $this->kernel instanceof TerminableInterface) {
                $this->kernel->terminate($request, $response);
            }
            gc_collect_cycles();
        } while ($again && ++$handled !== $this->most);

        return 0;
    }
}
