<?php

declare(strict_types=1);

namespace App\Exceptions;

use Illuminate\Foundation\Exceptions\Handler as ExceptionHandler;

final class Handler extends ExceptionHandler
{
    /** @var list<string> */
    protected $dontFlash = [];

    /** There are no user accounts, so no user id to put beside an error. */
    protected function context(): array
    {
        return [];
    }
}
