<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Invoice {{ $document->number }}</title></head>
<body style="margin:0;padding:32px;background:#f3f4f6;font-family:system-ui,sans-serif;color:#111827">
    <div style="max-width:600px;margin:0 auto;padding:32px;background:#fff;border-radius:12px">
        <p style="margin:0;color:#4338ca;font-weight:700">{{ $document->seller->name }}</p>
        <h1 style="margin:8px 0 16px;font-size:24px">Invoice {{ $document->number }}</h1>
        <p style="margin:0 0 24px;line-height:1.6">
            Dear {{ $document->buyer->name }},<br>
            please find your invoice attached. It is due on <strong>{{ $document->dueOn->format('j F Y') }}</strong>.
        </p>
        {!! $html !!}
    </div>
</body>
</html>
