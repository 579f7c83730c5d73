@extends('layouts.app')

@section('title', 'Invoices')

@section('content')
    <div class="head">
        <h1>Invoices</h1>
        <a class="button primary" href="{{ route('invoices.create') }}">New invoice</a>
    </div>

    <dl class="tiles">
        <div class="tile"><dt>Outstanding</dt><dd>{{ $outstanding }}</dd></div>
        <div class="tile overdue"><dt>Overdue</dt><dd>{{ $overdue }}</dd></div>
        <div class="tile paid"><dt>Paid</dt><dd>{{ $paid }}</dd></div>
    </dl>

    <div class="card flush">
        <table class="list">
            <thead>
                <tr>
                    <th>Number</th>
                    <th>Customer</th>
                    <th>Issued</th>
                    <th>Due</th>
                    <th>Status</th>
                    <th>Mail</th>
                    <th class="money">Total</th>
                </tr>
            </thead>
            <tbody>
                @forelse ($invoices as $invoice)
                    <tr>
                        <td><a class="number" href="{{ route('invoices.show', $invoice) }}">{{ $invoice->number }}</a></td>
                        <td>{{ $invoice->customer->name }}</td>
                        <td class="date">{{ $invoice->issued_on->format('j M Y') }}</td>
                        <td class="date">{{ $invoice->due_on->format('j M Y') }}</td>
                        <td>@include('partials.badge', ['state' => $invoice->paymentStatus()])</td>
                        <td>@include('partials.badge', ['state' => $invoice->delivery_status])</td>
                        <td class="money">{{ $invoice->total() }}</td>
                    </tr>
                @empty
                    <tr><td class="empty" colspan="7">No invoices yet.</td></tr>
                @endforelse
            </tbody>
        </table>
    </div>

    {{ $invoices->links('partials.pagination') }}
@endsection
