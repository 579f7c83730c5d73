<?php

declare(strict_types=1);

namespace App\Http\Controllers;

use App\Http\Requests\StoreInvoiceRequest;
use App\Invoicing\IssueInvoice;
use App\Models\Customer;
use App\Models\Invoice;
use Illuminate\Contracts\View\View;
use Illuminate\Http\RedirectResponse;
use Illuminate\Support\Carbon;
use Invoices\Renderer\Money;

final class InvoiceController
{
    public function index(): View
    {
        $currency = config('invoicing.currency');

        return view('invoices.index', [
            'invoices' => Invoice::query()->with('customer')->orderByDesc('id')->paginate(10),
            'outstanding' => new Money((int) Invoice::query()->unpaid()->sum('total_cents'), $currency),
            'overdue' => new Money((int) Invoice::query()->overdue()->sum('total_cents'), $currency),
            'paid' => new Money((int) Invoice::query()->whereNotNull('paid_at')->sum('total_cents'), $currency),
        ]);
    }

    public function create(): View
    {
        $today = Carbon::today();

        return view('invoices.create', [
            'customers' => Customer::query()->orderBy('name')->get(),
            'issuedOn' => $today->toDateString(),
            'dueOn' => $today->copy()->addDays(config('invoicing.payment_days'))->toDateString(),
            'taxRates' => config('invoicing.tax_rates'),
            'defaultTaxRate' => config('invoicing.default_tax_rate'),
        ]);
    }

    public function store(StoreInvoiceRequest $request, IssueInvoice $issue): RedirectResponse
    {
        $invoice = $issue($request->draft());

        return redirect()
            ->route('invoices.show', $invoice)
            ->with('status', "Invoice {$invoice->number} was created, its mail is on the way.");
    }

    public function show(Invoice $invoice): View
    {
        return view('invoices.show', ['invoice' => $invoice->load('customer', 'lines')]);
    }
}
