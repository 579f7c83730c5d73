<?php

declare(strict_types=1);

// For FrankenPHP, as Octane works: the application is booted once, and each request gets a clone of it.

use Illuminate\Container\Container;
use Illuminate\Contracts\Http\Kernel;
use Illuminate\Foundation\Application;
use Illuminate\Http\Request;
use Illuminate\Support\Facades\Facade;

require __DIR__ . '/vendor/autoload.php';
$base = require __DIR__ . '/bootstrap/app.php';
$base->instance('request', Request::create('http://localhost'));
$base->make(Kernel::class)->bootstrap();
foreach (['auth', 'cache', 'config', 'cookie', 'db', 'encrypter', 'hash', 'router', 'session', 'translator', 'url', 'view'] as $service) {
    $base->make($service);
}

$use = static function (Application $app): void {
    Container::setInstance($app);
    Facade::clearResolvedInstances();
    Facade::setFacadeApplication($app);
};

$serve = function () use ($base, $use): void {
    $app = clone $base;
    $use($app);
    $app->instance('app', $app);
    $app->instance(Container::class, $app);
    $app->instance('config', clone $base['config']);
    $app->make('router')->setContainer($app);
    $app->make('view')->setContainer($app);
    $app->make('view')->share('app', $app);
    $app->forgetInstance('auth');
    $app->forgetInstance('session');
    $app->forgetInstance('session.store');
    $app->forgetInstance('cookie');
    $app->forgetInstance(Illuminate\Session\Middleware\StartSession::class);
    $kernel = $app->make(Kernel::class);
    (function () use ($app): void {
        $this->app = $app;
    })->call($kernel);
    $app->instance('request', $request = Request::capture());
    $app->make('url')->setRequest($request);
    $response = $kernel->handle($request);
    $response->send();
    $kernel->terminate($request, $response);
    $use($base);
};

while (frankenphp_handle_request($serve));
