<!doctype html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>@yield('title')</title>
    <style>
        {{-- On its own: an error page must not depend on built assets, a session or the database. --}}
        body { display: grid; min-height: 90vh; place-content: center; font: 16px/1.5 system-ui, sans-serif; color: #111827; text-align: center; background: #f6f7fb }
        a { color: #4338ca }
    </style>
</head>
<body>
    <h1>@yield('title')</h1>
    <p>@yield('message')</p>
    <p><a href="/invoices">To the invoices</a></p>
</body>
</html>
