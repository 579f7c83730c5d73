<?php

declare(strict_types=1);

namespace App\Support;

use Illuminate\Support\HtmlString;
use RuntimeException;

/** Reads Vite's manifest: the hashed files that an entry point was built into. */
final class ViteManifest
{
    /** @var array<string, array{file: string, css?: list<string>}>|null */
    private ?array $entries = null;

    public function __construct(private readonly string $path, private readonly string $base)
    {
    }

    /** The style sheets and the module script of one entry point, ready for a page's head. */
    public function tags(string $entry): HtmlString
    {
        $chunk = $this->entries()[$entry]
            ?? throw new RuntimeException("`{$entry}` is not an entry point in `{$this->path}`");

        $styles = array_map(
            fn (string $file): string => '<link rel="stylesheet" href="' . e($this->url($file)) . '">',
            $chunk['css'] ?? [],
        );
        $script = '<script type="module" src="' . e($this->url($chunk['file'])) . '"></script>';

        return new HtmlString(implode("\n    ", [...$styles, $script]));
    }

    private function url(string $file): string
    {
        return asset("{$this->base}/{$file}");
    }

    /** @return array<string, array{file: string, css?: list<string>}> */
    private function entries(): array
    {
        if ($this->entries === null) {
            if (!is_file($this->path)) {
                throw new RuntimeException("`{$this->path}` is missing: run `npm run build`");
            }
            $this->entries = json_decode((string) file_get_contents($this->path), true, 8, JSON_THROW_ON_ERROR);
        }

        return $this->entries;
    }
}
