<?php

namespace App;

use Symfony\Bundle\FrameworkBundle\FrameworkBundle;
use Symfony\Bundle\FrameworkBundle\Kernel\MicroKernelTrait;
use Symfony\Component\DependencyInjection\Loader\Configurator\ContainerConfigurator;
use Symfony\Component\HttpFoundation\JsonResponse;
use Symfony\Component\HttpFoundation\Request;
use Symfony\Component\HttpFoundation\Response;
use Symfony\Component\HttpFoundation\StreamedResponse;
use Symfony\Component\HttpKernel\Kernel as BaseKernel;
use Symfony\Component\Routing\Loader\Configurator\RoutingConfigurator;

class Kernel extends BaseKernel
{
    use MicroKernelTrait;

    private int $answered = 0;

    public function registerBundles(): iterable
    {
        yield new FrameworkBundle();
    }

    public function getProjectDir(): string
    {
        return \dirname(__DIR__);
    }

    private function configureContainer(ContainerConfigurator $container): void
    {
        $container->extension('framework', ['secret' => 'secret', 'http_method_override' => false,
            'handle_all_throwables' => true, 'php_errors' => ['log' => true], 'session' => ['storage_factory_id' => 'session.storage.factory.native',
            'cookie_secure' => 'auto', 'cookie_samesite' => 'lax', 'handler_id' => null]]);
    }

    private function configureRoutes(RoutingConfigurator $routes): void
    {
        $routes->add('hello', '/hello/{name}')->controller([self::class, 'hello'])->methods(['GET', 'POST']);
        $routes->add('fail', '/fail')->controller([self::class, 'fail']);
        $routes->add('stream', '/stream')->controller([self::class, 'stream']);
        $routes->add('visits', '/visits')->controller([self::class, 'visits']);
    }

    public function hello(Request $request, string $name): Response
    {
        return new JsonResponse(['name' => $name, 'query' => $request->query->all(), 'post' => $request->request->all(), 'uri' => $request->getUri(),
            'version' => BaseKernel::VERSION, 'answered' => ++$this->answered, 'pid' => getmypid(), 'worker' => $_SERVER['FRANKENPHP_WORKER'] ?? null]);
    }

    public function fail(): Response
    {
        throw new \DomainException('no');
    }

    public function stream(): Response
    {
        return new StreamedResponse(static function () {
            foreach (['a', 'b', 'c'] as $part) {
                echo $part;
                flush();
            }
        });
    }

    public function visits(Request $request): Response
    {
        $session = $request->getSession();
        $session->set('visits', $session->get('visits', 0) + 1);

        return new Response((string) $session->get('visits'));
    }
}
