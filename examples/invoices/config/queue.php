<?php

declare(strict_types=1);

return [
    'default' => env('QUEUE_CONNECTION', 'redis'),
    'connections' => [
        'sync' => ['driver' => 'sync'],
        'redis' => [
            'driver' => 'redis',
            'connection' => 'default',
            'queue' => 'default',
            // After this many seconds a reserved job counts as lost and is given to another worker, so it must
            // exceed every job's timeout: otherwise one job would run twice at the same time.
            'retry_after' => 90,
            'block_for' => null,
            'after_commit' => true,
        ],
    ],
    'failed' => ['driver' => 'database-uuids', 'database' => env('DB_CONNECTION', 'pgsql'), 'table' => 'failed_jobs'],

    'heartbeat' => [
        'file' => env('QUEUE_HEARTBEAT_FILE', storage_path('framework/worker-heartbeat.json')),
        // An idle worker beats every `--sleep` (3) seconds.
        'stale_after' => 15,
    ],
];
