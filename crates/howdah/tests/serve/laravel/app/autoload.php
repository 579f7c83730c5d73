<?php

declare(strict_types=1);

require_once '/usr/share/php/Illuminate/autoload.php';

spl_autoload_register(static function (string $class): void {
    if ($class === 'App\\Later') {
        require dirname(__DIR__) . '/app/Later.php';
    }
});
