<?php

declare(strict_types=1);

namespace Tests\Unit;

use App\Support\ViteManifest;
use RuntimeException;
use Tests\TestCase;

final class ViteManifestTest extends TestCase
{
    public function testAnEntryBringsItsStylesAndItsScript(): void
    {
        $tags = (string) $this->app->make(ViteManifest::class)->tags('resources/js/app.js');

        self::assertStringContainsString('/build/assets/app-87654321.css', $tags);
        self::assertStringContainsString('/build/assets/app-12345678.js', $tags);
    }

    public function testAMissingBuildSaysWhatToDo(): void
    {
        $this->expectException(RuntimeException::class);
        $this->expectExceptionMessage('npm run build');
        (new ViteManifest('/nowhere/manifest.json', '/build'))->tags('resources/js/app.js');
    }
}
