<?php

if (true === (require_once __DIR__ . '/autoload.php') || empty($_SERVER['SCRIPT_FILENAME'])) {
    return;
}

$app = require $_SERVER['SCRIPT_FILENAME'];

$runtime = $_SERVER['APP_RUNTIME'] ?? Symfony\Component\Runtime\SymfonyRuntime::class;
$runtime = new $runtime(['project_dir' => dirname(__DIR__), 'disable_dotenv' => true]);
[$app, $args] = $runtime->getResolver($app)->resolve();
$app = $app(...$args);
exit($runtime->getRunner($app)->run());
