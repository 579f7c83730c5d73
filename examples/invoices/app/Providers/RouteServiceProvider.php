<?php

declare(strict_types=1);

namespace App\Providers;

use App\Http\Controllers\HealthController;
use Illuminate\Foundation\Support\Providers\RouteServiceProvider as ServiceProvider;
use Illuminate\Http\Response;
use Illuminate\Support\Facades\Route;

final class RouteServiceProvider extends ServiceProvider
{
    public function boot(): void
    {
        $this->routes(function (): void {
            // Outside the group `web`: a health check must start no session.
            Route::get('/health', HealthController::class)->name('health');
            // Answered by the application and by nothing else: a database that is away is no reason to start it again.
            Route::get('/up', static fn (): Response => new Response('up'))->name('up');
            Route::middleware('web')->group(base_path('routes/web.php'));
        });
    }
}
