<!doctype html>
<html lang="en">
<head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>@yield('title') · {{ config('app.name') }}</title>
    <link rel="icon" href="{{ asset('favicon.svg') }}" type="image/svg+xml">
    @assets('resources/js/app.js')
</head>
<body>
    <header class="bar">
        <div class="bar-inner">
            <a class="brand" href="{{ route('invoices.index') }}">
                <img src="{{ asset('favicon.svg') }}" width="28" height="28" alt="">
                {{ config('app.name') }}
            </a>
            <span class="seller">{{ config('invoicing.seller.name') }}</span>
        </div>
    </header>
    <main>
        @if (session('status'))
            <p class="flash" role="status">{{ session('status') }}</p>
        @endif
        @yield('content')
    </main>
</body>
</html>
