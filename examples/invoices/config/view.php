<?php

declare(strict_types=1);

return [
    'paths' => [resource_path('views')],
    'compiled' => env('VIEW_COMPILED_PATH', storage_path('framework/views')),
    // Written by Vite (`npm run build`); tells which hashed file an entry point became.
    'asset_manifest' => env('ASSET_MANIFEST', public_path('build/manifest.json')),
];
