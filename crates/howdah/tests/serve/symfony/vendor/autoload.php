<?php

// Debian's packages, unpacked: they are not Composer's, which the framework asks about them.
$symfony = getenv('SYMFONY');
require_once "$symfony/Symfony/Bundle/FrameworkBundle/autoload.php";
require_once "$symfony/Symfony/Component/Runtime/autoload.php";
require_once __DIR__ . '/InstalledVersions.php';
require_once __DIR__ . '/Runtime.php';
require_once dirname(__DIR__) . '/src/Kernel.php';
