<?php

declare(strict_types=1);

use Illuminate\Support\Facades\Route;

Route::get('/', static fn () => view('customers', [
    'customers' => array_map(static fn (int $id): array => ['id' => $id, 'name' => "Customer & Sons $id"], range(1, 20)),
]));
