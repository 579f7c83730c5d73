<?php

declare(strict_types=1);

require __DIR__ . '/cases.php';
while (frankenphp_handle_request('answer'));
