<?php

declare(strict_types=1);

namespace App\Providers;

use App\Support\ViteManifest;
use Illuminate\Support\Facades\Blade;
use Illuminate\Support\ServiceProvider;

final class AppServiceProvider extends ServiceProvider
{
    public function register(): void
    {
        $this->app->singleton(
            ViteManifest::class,
            fn (): ViteManifest => new ViteManifest(config('view.asset_manifest'), '/build'),
        );
    }

    public function boot(): void
    {
        // Laravel 8 has no @vite; `@assets('resources/js/app.js')` does the same from Vite's manifest.
        Blade::directive(
            'assets',
            static fn (string $entry): string
                => '<?php echo app(\\' . ViteManifest::class . "::class)->tags({$entry}); ?>",
        );
    }
}
