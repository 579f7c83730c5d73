<?php

declare(strict_types=1);

// What every server of the benchmark runs: once for each request, or as the callback of a worker.
function answer(): void
{
    switch (strtok($_SERVER['REQUEST_URI'], '?')) {
        case '/hello':
            echo 'Hello, world!';
            break;
        case '/echo':
            header('Content-Type: application/octet-stream');
            echo file_get_contents('php://input');
            break;
        case '/json':
            header('Content-Type: application/json');
            $rows = [];
            for ($i = 0; $i < 100; $i++) {
                $rows[] = ['id' => $i, 'name' => "Customer $i", 'total' => $i * 1.25, 'paid' => $i % 3 === 0];
            }
            echo json_encode(['page' => (int) ($_GET['page'] ?? 1), 'rows' => $rows]);
            break;
        case '/post':
            echo strlen(file_get_contents('php://input'));
            break;
        case '/upload':
            $file = $_FILES['file'];
            echo is_uploaded_file($file['tmp_name']) ? $file['size'] : http_response_code(400);
            break;
        case '/data':
            echo data();
            break;
        default:
            http_response_code(404);
    }
}

/** One query of PostgreSQL and one of Redis, over connections that last as long as the server lets them. */
function data(): string
{
    static $database, $redis;
    $run = getenv('BENCH_SERVICES');
    $database ??= new PDO("pgsql:host=$run;dbname=postgres;user=postgres", options: [
        PDO::ATTR_PERSISTENT => true,
        PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
    ]);
    if ($redis === null) {
        $redis = new Redis();
        $redis->pconnect("$run/redis.sock");
    }
    $query = $database->prepare('SELECT id, name FROM customers WHERE id = ?');
    $query->execute([$redis->incr('visits') % 1000]);
    header('Content-Type: application/json');
    return json_encode($query->fetch(PDO::FETCH_ASSOC));
}
