<?php

declare(strict_types=1);

// Debian's package php-laravel-framework brings the framework and its libraries with their own autoloaders.
require_once '/usr/share/php/Illuminate/autoload.php';
