@extends('layouts.app')

@section('title', $invoice->number)

@php($document = $invoice->toDocument())

@section('content')
    <div class="head">
        <h1>
            {{ $invoice->number }}
            @include('partials.badge', ['state' => $invoice->paymentStatus()])
        </h1>
        <div class="actions">
            <a class="button" href="{{ route('invoices.pdf', $invoice) }}">PDF</a>
            <form method="post" action="{{ route('invoices.delivery.store', $invoice) }}">
                @csrf
                <button class="button" type="submit">Send again</button>
            </form>
            <form method="post" action="{{ route('invoices.payment.store', $invoice) }}">
                @csrf
                @if ($invoice->paid_at === null)
                    <button class="button primary" type="submit">Mark as paid</button>
                @else
                    @method('delete')
                    <button class="button" type="submit">Reopen</button>
                @endif
            </form>
        </div>
    </div>

    <article class="card paper">
        <div class="parties">
            <address><small>From</small><strong>{{ $document->seller->name }}</strong>
                @foreach ($document->seller->address as $row)<span>{{ $row }}</span>@endforeach
            </address>
            <address><small>To</small><strong>{{ $document->buyer->name }}</strong>
                @foreach ($document->buyer->address as $row)<span>{{ $row }}</span>@endforeach
            </address>
            <dl class="dates">
                <dt>Issued</dt><dd>{{ $document->issuedOn->format('j F Y') }}</dd>
                <dt>Due</dt><dd>{{ $document->dueOn->format('j F Y') }}</dd>
                @if ($invoice->paid_at !== null)
                    <dt>Paid</dt><dd>{{ $invoice->paid_at->format('j F Y') }}</dd>
                @endif
            </dl>
        </div>

        <table class="list">
            <thead>
                <tr>
                    <th>Description</th>
                    <th class="money">Quantity</th>
                    <th class="money">Price</th>
                    <th class="money">Total</th>
                </tr>
            </thead>
            <tbody>
                @foreach ($document->lines as $line)
                    <tr>
                        <td>{{ $line->description }}</td>
                        <td class="money">{{ $line->quantity }}</td>
                        <td class="money">{{ $line->unitPrice }}</td>
                        <td class="money">{{ $line->total() }}</td>
                    </tr>
                @endforeach
            </tbody>
        </table>

        <div class="foot">
            <p class="notes">{{ $document->notes }}</p>
            <dl class="sums">
                <div><dt>Net</dt><dd>{{ $document->net() }}</dd></div>
                <div><dt>Tax {{ $document->taxRate() }}</dt><dd>{{ $document->tax() }}</dd></div>
                <div class="total"><dt>Total</dt><dd>{{ $document->total() }}</dd></div>
            </dl>
        </div>
    </article>

    <section class="card delivery" data-delivery="{{ route('invoices.delivery.show', $invoice) }}">
        <div>
            <h2>Delivery</h2>
            <p>To {{ $document->buyer->email }}<span data-sent-at>@if ($invoice->sent_at !== null), sent {{ $invoice->sent_at->format('j F Y, H:i') }} UTC @endif</span></p>
            @if ($invoice->delivery_error !== null)
                <p class="error">{{ $invoice->delivery_error }}</p>
            @endif
        </div>
        @include('partials.badge', ['state' => $invoice->delivery_status])
    </section>
@endsection
