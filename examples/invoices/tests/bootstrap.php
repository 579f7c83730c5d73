<?php

declare(strict_types=1);

// In the image's test stage Composer has written an authoritative class map without the tests.
$loader = require __DIR__ . '/../vendor/autoload.php';
$loader->setClassMapAuthoritative(false);
$loader->addPsr4('Tests\\', __DIR__);
