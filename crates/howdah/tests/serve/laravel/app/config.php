<?php

declare(strict_types=1);

$base = __DIR__;

return [
    'app' => [
        'name' => 'Leaks', 'env' => 'production', 'debug' => false, 'url' => 'http://localhost', 'timezone' => 'UTC', 'locale' => 'en',
        'fallback_locale' => 'en', 'key' => str_repeat('k', 32), 'cipher' => 'AES-256-CBC', 'aliases' => [],
        'providers' => [
            Illuminate\Auth\AuthServiceProvider::class, Illuminate\Cache\CacheServiceProvider::class,
            Illuminate\Cookie\CookieServiceProvider::class, Illuminate\Database\DatabaseServiceProvider::class,
            Illuminate\Encryption\EncryptionServiceProvider::class, Illuminate\Filesystem\FilesystemServiceProvider::class,
            Illuminate\Foundation\Providers\FoundationServiceProvider::class, Illuminate\Pagination\PaginationServiceProvider::class,
            Illuminate\Session\SessionServiceProvider::class, Illuminate\Translation\TranslationServiceProvider::class,
            Illuminate\Validation\ValidationServiceProvider::class, Illuminate\View\ViewServiceProvider::class, App\Provider::class,
        ],
    ],
    'auth' => [
        'defaults' => ['guard' => 'web', 'passwords' => 'users'],
        'guards' => ['web' => ['driver' => 'session', 'provider' => 'users']],
        'providers' => ['users' => ['driver' => 'list']],
    ],
    'cache' => ['default' => 'array', 'stores' => ['array' => ['driver' => 'array']], 'prefix' => 'leaks'],
    'database' => [
        'default' => 'sqlite',
        'connections' => ['sqlite' => ['driver' => 'sqlite', 'database' => "{$base}/storage/database.sqlite", 'prefix' => '']],
    ],
    'filesystems' => ['default' => 'local', 'disks' => ['local' => ['driver' => 'local', 'root' => "{$base}/storage"]]],
    'logging' => [
        'default' => 'stderr', 'deprecations' => 'null',
        'channels' => [
            'stderr' => ['driver' => 'monolog', 'handler' => Monolog\Handler\StreamHandler::class, 'with' => ['stream' => 'php://stderr']],
            'null' => ['driver' => 'monolog', 'handler' => Monolog\Handler\NullHandler::class],
        ],
    ],
    'session' => [
        'driver' => 'file', 'lifetime' => 120, 'expire_on_close' => false, 'encrypt' => false, 'files' => "{$base}/storage",
        'lottery' => [0, 100], 'cookie' => 'leaks', 'path' => '/', 'domain' => null, 'secure' => false, 'http_only' => true,
        'same_site' => 'lax',
    ],
    'view' => ['paths' => [$base], 'compiled' => "{$base}/storage"],
];
