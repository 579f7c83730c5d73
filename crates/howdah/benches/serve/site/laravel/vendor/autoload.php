<?php

declare(strict_types=1);

// Debian's framework; the application's own classes as Composer would find them.
require_once '/usr/share/php/Illuminate/autoload.php';
spl_autoload_register(static function (string $class): void {
    if (str_starts_with($class, 'App\\')) {
        require __DIR__ . '/../app/' . strtr(substr($class, 4), '\\', '/') . '.php';
    }
});
