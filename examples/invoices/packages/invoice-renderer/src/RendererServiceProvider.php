<?php

declare(strict_types=1);

namespace Invoices\Renderer;

use Illuminate\Support\ServiceProvider;

/** Found by Laravel's package discovery, from composer.json. */
final class RendererServiceProvider extends ServiceProvider
{
    public function register(): void
    {
        $this->app->singleton(HtmlRenderer::class);
        $this->app->singleton(TextRenderer::class);
        $this->app->singleton(PdfRenderer::class);
    }
}
