<?php

declare(strict_types=1);

use Illuminate\Http\Request;
use Illuminate\Support\Facades\Route;

Route::get('/customers/{id}', static fn (Request $request, string $id) => response()->json([
    'id' => (int) $id,
    'name' => "Customer $id",
    'page' => (int) $request->query('page', 1),
]));
