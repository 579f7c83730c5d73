<?php

/*
 * Howdah's worker for a Laravel application (8 and later) that knows nothing of workers: the application is booted once, and after
 * each request everything it changed is put back as the boot left it (docs/decisions/0035). Nothing of it is in the application.
 *
 * The application object stays the same one, so whatever holds it holds the right one. Put back are: the properties of the container
 * and of what it holds, static properties of Laravel and of the application's own classes, globals, environment, error handlers.
 * Connections to databases and to Redis stay open, without what a request left in them.
 */

declare(strict_types=1);

namespace Howdah\Laravel;

use Closure;
use Illuminate\Container\Container;
use Illuminate\Contracts\Http\Kernel;
use Illuminate\Database\Connection;
use Illuminate\Database\DatabaseManager;
use Illuminate\Foundation\Bootstrap\RegisterProviders;
use Illuminate\Foundation\Bootstrap\SetRequestForConsole;
use Illuminate\Http\Request;
use Illuminate\Redis\Connections\Connection as RedisConnection;
use Illuminate\Redis\RedisManager;
use Illuminate\Routing\Events\RouteMatched;
use Illuminate\Routing\Route;
use Illuminate\Routing\RouteCollection;
use Illuminate\Support\Facades\Facade;
use ReflectionClass;
use ReflectionProperty;
use Throwable;

/** The objects that the booted application consists of, and their properties. */
final class Objects
{
    /** From the container to a manager, to its drivers, to what these are made of. */
    private const DEPTH = 3;

    /** Connections stay, and what is found once for all requests. */
    private const KEPT = [
        DatabaseManager::class => ["\0*\0connections" => true],
        RedisManager::class => ["\0*\0connections" => true],
        Route::class => ['compiled' => true],
    ];

    /** @var array<int, array{object, array, array}> */
    private array $saved = [];

    /** Put back only if a request was routed there: there may be very many. @var array<int, array{object, array, array}> */
    private array $routes = [];

    /** @var array<int, true> */
    private array $matched = [];

    public function save(object $root): void
    {
        $next = [$root];
        for ($depth = 0; $depth <= self::DEPTH; $depth++) {
            [$objects, $next] = [$next, []];
            foreach ($objects as $object) {
                $this->add($object, $next);
            }
        }
    }

    public function matched(object $route): void
    {
        $this->matched[spl_object_id($route)] = true;
    }

    public function restore(): void
    {
        foreach ($this->saved as [$object, $properties, $kept]) {
            howdah_restore($object, $properties, $kept);
        }
        foreach (array_intersect_key($this->routes, $this->matched) as [$object, $properties, $kept]) {
            howdah_restore($object, $properties, $kept);
        }
        $this->matched = [];
    }

    private function add(object $object, array &$next): void
    {
        $id = spl_object_id($object);
        if (isset($this->saved[$id]) || isset($this->routes[$id]) || !self::isState($object)) {
            return;
        }
        $properties = get_mangled_object_vars($object);
        $entry = [$object, $properties, self::kept($object)];
        if ($object instanceof Route) {
            $this->routes[$id] = $entry;

            return;
        }
        $this->saved[$id] = $entry;
        array_walk_recursive($properties, static function (mixed $value) use (&$next): void {
            if (is_object($value)) {
                $next[] = $value;
            }
        });
    }

    /** Has it properties that a request may change? */
    private static function isState(object $object): bool
    {
        return !$object instanceof Closure
            && !$object instanceof \UnitEnum
            && !$object instanceof \DateTimeInterface
            && !$object instanceof Connection
            && !$object instanceof RedisConnection
            && ($object instanceof \stdClass || (new ReflectionClass($object))->isUserDefined());
    }

    private static function kept(object $object): array
    {
        foreach (self::KEPT as $class => $names) {
            if ($object instanceof $class) {
                return $names;
            }
        }

        return [];
    }
}

/** Static properties of Laravel's classes and of the application's own. */
final class Statics
{
    private const PREFIXES = ['Illuminate\\', 'Symfony\\Component\\HttpFoundation\\'];

    /** Known of a class once and for all. */
    private const KEPT = [
        'mutatorCache', 'attributeMutatorCache', 'getAttributeMutatorCache', 'setAttributeMutatorCache', 'castTypeCache',
        'propertyCache', 'methodCache', 'constructorParametersCache',
    ];

    /** @var list<array{ReflectionProperty, mixed}> */
    private array $saved = [];

    /** Classes that are known already. */
    private int $known = 0;

    private bool $loaded = true;

    public function __construct(private readonly string $base)
    {
        // Tells only that there may be new classes: looking through all of them for every request would cost more than it.
        spl_autoload_register(function (): void {
            $this->loaded = true;
        }, true, true);
    }

    /** With the values of now, or for classes that a request has loaded those of their declaration. */
    public function save(bool $booted): void
    {
        if (!$this->loaded) {
            return;
        }
        $this->loaded = false;
        $classes = get_declared_classes();
        foreach (array_slice($classes, $this->known) as $name) {
            $class = new ReflectionClass($name);
            if ($this->isMeant($class)) {
                $this->add($class, $booted);
            }
        }
        $this->known = count($classes);
    }

    public function restore(): void
    {
        foreach ($this->saved as [$property, $value]) {
            if ($property->getValue() !== $value) {
                $property->setValue(null, $value);
            }
        }
        $this->save(false);
    }

    private function add(ReflectionClass $class, bool $booted): void
    {
        $defaults = $booted ? [] : $class->getDefaultProperties();
        foreach ($class->getProperties(ReflectionProperty::IS_STATIC) as $property) {
            $name = $property->getName();
            $isOwn = $property->getDeclaringClass()->getName() === $class->getName();
            if (!$isOwn || in_array($name, self::KEPT, true) || !$property->isInitialized()) {
                continue;
            }
            $value = $booted ? $property->getValue() : $defaults[$name] ?? null;
            $this->saved[] = [$property, $value];
            if (!$booted && $property->getValue() !== $value) {
                $property->setValue(null, $value);
            }
        }
    }

    private function isMeant(ReflectionClass $class): bool
    {
        if (!$class->isUserDefined() || str_starts_with($class->getName(), __NAMESPACE__ . '\\')) {
            return false;
        }
        foreach (self::PREFIXES as $prefix) {
            if (str_starts_with($class->getName(), $prefix)) {
                return true;
            }
        }
        $file = (string) $class->getFileName();

        return str_starts_with($file, $this->base . '/') && !str_starts_with($file, $this->base . '/vendor/');
    }
}

/** What PHP itself keeps for the whole process, as far as the server does not put it back. */
final class Process
{
    private const SUPERGLOBALS = ['_GET', '_POST', '_COOKIE', '_FILES', '_SERVER', '_ENV', '_REQUEST', '_SESSION'];

    /** What the application's boot put into $_SERVER: the variables of its `.env`. */
    private array $server;

    private array $variables;

    private array $environment;

    private array $globals;

    private mixed $errorHandler;

    private mixed $exceptionHandler;

    private ?string $locale = null;

    public function __construct(array $serverBeforeBoot)
    {
        $this->server = array_diff_key($_SERVER, $serverBeforeBoot);
        $this->variables = $_ENV;
        $this->environment = getenv();
        $this->globals = array_diff_key($GLOBALS, array_flip(self::SUPERGLOBALS));
        $this->errorHandler = self::errorHandler();
        $this->exceptionHandler = self::exceptionHandler();
        $this->locale = class_exists(\Carbon\Carbon::class) ? \Carbon\Carbon::getLocale() : null;
    }

    public function begin(): void
    {
        $_SERVER += $this->server;
    }

    public function restore(): void
    {
        $_ENV = $this->variables;
        $this->restoreEnvironment();
        $this->restoreGlobals();
        $this->restoreHandlers();
        $this->restoreDates();
        libxml_use_internal_errors(false);
    }

    private function restoreEnvironment(): void
    {
        $now = getenv();
        if ($now === $this->environment) {
            return;
        }
        foreach (array_diff_key($now, $this->environment) as $name => $value) {
            putenv((string) $name);
        }
        foreach (array_diff_assoc($this->environment, $now) as $name => $value) {
            putenv("{$name}={$value}");
        }
    }

    private function restoreGlobals(): void
    {
        foreach (array_keys($GLOBALS) as $name) {
            if (!array_key_exists($name, $this->globals) && !in_array($name, self::SUPERGLOBALS, true)) {
                unset($GLOBALS[$name]);
            }
        }
        foreach ($this->globals as $name => $value) {
            if (!array_key_exists($name, $GLOBALS) || $GLOBALS[$name] !== $value) {
                $GLOBALS[$name] = $value;
            }
        }
    }

    /** Handlers are a stack, and a request may have put its own upon it; or taken ours away. */
    private function restoreHandlers(): void
    {
        while (($now = self::errorHandler()) !== $this->errorHandler && $now !== null) {
            restore_error_handler();
        }
        if ($now !== $this->errorHandler) {
            set_error_handler($this->errorHandler);
        }
        while (($now = self::exceptionHandler()) !== $this->exceptionHandler && $now !== null) {
            restore_exception_handler();
        }
        if ($now !== $this->exceptionHandler) {
            set_exception_handler($this->exceptionHandler);
        }
    }

    private static function errorHandler(): mixed
    {
        $handler = set_error_handler(static fn (): bool => false);
        restore_error_handler();

        return $handler;
    }

    private static function exceptionHandler(): mixed
    {
        $handler = set_exception_handler(static fn () => null);
        restore_exception_handler();

        return $handler;
    }

    private function restoreDates(): void
    {
        if ($this->locale === null) {
            return;
        }
        foreach ([\Carbon\Carbon::class, \Carbon\CarbonImmutable::class] as $class) {
            if ($class::hasTestNow()) {
                $class::setTestNow();
            }
        }
        if (\Carbon\Carbon::getLocale() !== $this->locale) {
            \Carbon\Carbon::setLocale($this->locale);
            \Carbon\CarbonImmutable::setLocale($this->locale);
        }
    }
}

/** Connections to databases and to Redis, which stay open from request to request. */
final class Connections
{
    /** A connection that was idle for longer is asked whether the other end is still there. */
    private const IDLE_SECONDS = 1.0;

    /** Of a connection: what a request may have set. */
    private const OF_A_REQUEST = [
        'queryLog', 'loggingQueries', 'totalQueryDuration', 'queryDurationHandlers', 'pretending', 'recordsModified',
        'readOnWriteConnection', 'beforeExecutingCallbacks', 'beforeStartingTransaction',
    ];

    /** @var array<int, array<string, mixed>> */
    private array $booted = [];

    private float $used = 0.0;

    public function __construct(private readonly Container $app)
    {
        foreach ($this->databases()?->getConnections() ?? [] as $connection) {
            $this->booted[spl_object_id($connection)] = $this->ofARequest($connection);
        }
    }

    /** Redis clients do not connect again by themselves for the command that finds their connection lost. */
    public function begin(): void
    {
        if (microtime(true) - $this->used < self::IDLE_SECONDS) {
            return;
        }
        foreach ($this->redis()?->connections() ?? [] as $name => $connection) {
            try {
                $connection->client()->ping();
            } catch (Throwable) {
                $this->forgetRedis($name);
            }
        }
    }

    /** To be called when the container and its configuration are as after the boot. */
    public function restore(): void
    {
        $this->used = microtime(true);
        foreach ($this->databases()?->getConnections() ?? [] as $name => $connection) {
            try {
                $this->settle((string) $name, $connection);
            } catch (Throwable) {
                $this->databases()->purge($name);
            }
        }
        foreach ($this->redis()?->connections() ?? [] as $name => $connection) {
            if (!self::isUsable($connection)) {
                $this->forgetRedis($name);
            }
        }
    }

    /** Nothing that is open may be shared with another process. */
    public function close(): void
    {
        foreach ($this->databases()?->getConnections() ?? [] as $name => $connection) {
            $this->databases()->purge($name);
        }
        foreach ($this->redis()?->connections() ?? [] as $name => $connection) {
            $this->forgetRedis($name);
        }
        gc_collect_cycles();
    }

    private function settle(string $name, object $connection): void
    {
        $connection->rollBack(0);
        $pdo = $connection->getRawPdo();
        if ($pdo instanceof \PDO && $pdo->inTransaction()) {
            $pdo->rollBack();
        }
        if (!$this->isConfigured($name, $connection)) {
            $this->databases()->purge($name);

            return;
        }
        $values = $this->booted[spl_object_id($connection)] ?? null;
        $defaults = $values ?? (new ReflectionClass($connection))->getDefaultProperties();
        (function (array $names) use ($defaults): void {
            foreach ($names as $name) {
                if (property_exists($this, $name)) {
                    $this->{$name} = $defaults[$name];
                }
            }
        })->call($connection, self::OF_A_REQUEST);
    }

    private function ofARequest(object $connection): array
    {
        return (fn (): array => get_object_vars($this))->call($connection);
    }

    /** A request may have opened it by settings of its own: for a tenant, say. */
    private function isConfigured(string $name, object $connection): bool
    {
        $databases = $this->databases();
        $parsed = (fn (): array => $this->parseConnectionName($name))->call($databases);
        $settings = (fn (): array => $this->configuration($parsed[0]))->call($databases);
        if (isset($settings['read']) || isset($settings['write'])) {
            return true;
        }
        $settings += ['prefix' => '', 'name' => $parsed[0]];

        return $connection->getConfig() == $settings;
    }

    /** A client in the middle of a transaction or a subscription, or on another database, is not for the next request. */
    private static function isUsable(object $connection): bool
    {
        $client = $connection->client();
        if (!$client instanceof \Redis) {
            return true;
        }
        try {
            $database = (fn (): int => (int) ($this->config['database'] ?? 0))->call($connection);

            return $client->isConnected() && $client->getMode() === \Redis::ATOMIC && $client->getDbNum() === $database;
        } catch (Throwable) {
            return false;
        }
    }

    private function databases(): ?DatabaseManager
    {
        $databases = $this->app->resolved('db') ? $this->app->make('db') : null;

        return $databases instanceof DatabaseManager ? $databases : null;
    }

    private function redis(): ?RedisManager
    {
        $redis = $this->app->resolved('redis') ? $this->app->make('redis') : null;

        return $redis instanceof RedisManager ? $redis : null;
    }

    private function forgetRedis(string|int $name): void
    {
        (function () use ($name): void {
            unset($this->connections[$name]);
        })->call($this->redis());
    }
}

/** The booted application. */
final class Worker
{
    /** Made at the boot, for all requests; what cannot be made without one is made there. */
    private const WARM = [
        'auth', 'blade.compiler', 'cache', 'config', 'cookie', 'db', 'db.factory', 'db.transactions', 'encrypter', 'events', 'files',
        'hash', 'log', 'queue', 'redis', 'router', 'session', 'translator', 'url', 'validator', 'view', 'view.engine.resolver',
    ];

    /** It is never given up: the end of a process that takes the application apart costs a fork more than its request. */
    private static self $only;

    private readonly Kernel $kernel;

    private readonly Objects $objects;

    private readonly Statics $statics;

    private readonly Process $process;

    private readonly Connections $connections;

    /** The process that boots. */
    private readonly int $pid;

    /** @param bool $forks after the first request, and each fork serves one */
    public function __construct(private readonly string $base, private readonly bool $forks)
    {
        self::$only = $this;
        $this->pid = getmypid();
        $server = $_SERVER;
        require_once $base . '/vendor/autoload.php';
        $this->statics = new Statics($base);
        $app = require $base . '/bootstrap/app.php';
        $this->kernel = $app->make(Kernel::class);
        $this->boot($app);
        $this->objects = new Objects();
        $app->make('events')->listen(
            RouteMatched::class,
            fn (RouteMatched $event) => $this->objects->matched($event->route),
        );
        $this->connections = new Connections($app);
        $this->process = new Process($server);
        $this->statics->save(true);
        $this->objects->save($app);
    }

    /** One request, as `public/index.php` does it. */
    public function handle(): void
    {
        $this->process->begin();
        $this->connections->begin();
        if (is_file($maintenance = $this->base . '/storage/framework/maintenance.php')) {
            // It ends the request if the application is down.
            require $maintenance;
        }
        $response = $this->kernel->handle($request = Request::capture());
        $response->send();
        $this->kernel->terminate($request, $response);
    }

    /** After a request, also one that ended by `exit`. */
    public function restore(): void
    {
        if ($this->forks && getmypid() !== $this->pid) {
            // A fork serves no other request.
            return;
        }
        $this->objects->restore();
        $this->statics->restore();
        $this->process->restore();
        if ($this->forks) {
            // It was the request that warms up the process from which all others are forked.
            $this->connections->close();
        } else {
            $this->connections->restore();
        }
    }

    /** As the kernel does it at the first request, but with a request of nobody's. */
    private function boot(Container $app): void
    {
        $bootstrappers = (fn (): array => $this->bootstrappers())->call($this->kernel);
        $place = array_search(RegisterProviders::class, $bootstrappers, true);
        array_splice($bootstrappers, $place === false ? count($bootstrappers) : $place, 0, [SetRequestForConsole::class]);
        $app->bootstrapWith($bootstrappers);
        $app->loadDeferredProviders();
        foreach (self::WARM as $service) {
            try {
                $app->bound($service) && $app->make($service);
            } catch (Throwable) {
                // Then the request that needs it says why it cannot be made.
            }
        }
        $this->compileRoutes($app);
        method_exists($app, 'forgetScopedInstances') && $app->forgetScopedInstances();
        Facade::clearResolvedInstances();
    }

    /** Cached routes are compiled already. */
    private function compileRoutes(Container $app): void
    {
        $routes = $app->make('router')->getRoutes();
        if (!$routes instanceof RouteCollection) {
            return;
        }
        foreach ($routes->getRoutes() as $route) {
            (fn () => $this->compileRoute())->call($route);
        }
    }
}

// Not in the global scope: its variables would be the application's.
(static function (): void {
    // Where PHP-FPM would be.
    chdir((string) getenv('HOWDAH_PUBLIC'));
    $worker = new Worker((string) getenv('HOWDAH_APPLICATION'), (bool) getenv('HOWDAH_FORKS'));
    ignore_user_abort(true);
    while (frankenphp_handle_request($worker->handle(...))) {
        $worker->restore();
    }
})();
