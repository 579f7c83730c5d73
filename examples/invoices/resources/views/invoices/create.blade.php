@extends('layouts.app')

@section('title', 'New invoice')

@section('content')
    <div class="head">
        <h1>New invoice</h1>
        <a class="button" href="{{ route('invoices.index') }}">Cancel</a>
    </div>

    @if ($errors->any())
        <p class="flash failed" role="alert">Please correct what is marked below.</p>
    @endif

    <form class="card" method="post" action="{{ route('invoices.store') }}" data-invoice-form novalidate>
        @csrf
        <div class="fields">
            <label class="wide">
                Customer
                <select name="customer_id" required>
                    <option value="">Choose a customer</option>
                    @foreach ($customers as $customer)
                        <option value="{{ $customer->id }}" @if ((string) $customer->id === (string) old('customer_id')) selected @endif>
                            {{ $customer->name }}
                        </option>
                    @endforeach
                </select>
                @include('partials.error', ['field' => 'customer_id'])
            </label>
            <label>
                Issued on
                <input name="issued_on" type="date" value="{{ old('issued_on', $issuedOn) }}" required>
                @include('partials.error', ['field' => 'issued_on'])
            </label>
            <label>
                Due on
                <input name="due_on" type="date" value="{{ old('due_on', $dueOn) }}" required>
                @include('partials.error', ['field' => 'due_on'])
            </label>
            <label>
                Tax
                <select name="tax_basis_points" data-tax required>
                    @foreach ($taxRates as $rate)
                        <option value="{{ $rate }}" @if ((string) $rate === (string) old('tax_basis_points', $defaultTaxRate)) selected @endif>
                            {{ $rate / 100 }} %
                        </option>
                    @endforeach
                </select>
                @include('partials.error', ['field' => 'tax_basis_points'])
            </label>
        </div>

        <table class="lines">
            <thead>
                <tr>
                    <th>Description</th>
                    <th>Quantity</th>
                    <th>Price</th>
                    <th class="money">Total</th>
                    <th><span class="unseen">Remove</span></th>
                </tr>
            </thead>
            <tbody data-lines>
                @foreach ((array) old('lines', [[]]) as $index => $line)
                    @include('partials.line', ['index' => $index, 'line' => (array) $line])
                @endforeach
            </tbody>
        </table>
        <template data-line-template>
            @include('partials.line', ['index' => '__index__', 'line' => []])
        </template>
        @include('partials.error', ['field' => 'lines'])
        <button class="button" type="button" data-add-line>Add position</button>

        <div class="foot">
            <label class="wide">
                Notes
                <textarea name="notes" rows="3" maxlength="500" placeholder="Printed below the positions">{{ old('notes') }}</textarea>
                @include('partials.error', ['field' => 'notes'])
            </label>
            <dl class="sums">
                <div><dt>Net</dt><dd data-net>0.00</dd></div>
                <div><dt>Tax</dt><dd data-tax-total>0.00</dd></div>
                <div class="total"><dt>Total</dt><dd data-total>0.00</dd></div>
            </dl>
        </div>
        <button class="button primary" type="submit">Create and send</button>
    </form>
@endsection
