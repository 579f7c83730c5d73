<?php

declare(strict_types=1);

namespace App\Http\Controllers;

use App\Models\Invoice;
use Illuminate\Http\RedirectResponse;
use Illuminate\Support\Carbon;

/** Marks an invoice as paid, or takes that back. */
final class InvoicePaymentController
{
    public function store(Invoice $invoice): RedirectResponse
    {
        // The first payment date stays, however often the button is pressed.
        Invoice::query()->whereKey($invoice->id)->unpaid()->update(['paid_at' => Carbon::now()]);

        return redirect()->route('invoices.show', $invoice)->with('status', "Invoice {$invoice->number} is paid.");
    }

    public function destroy(Invoice $invoice): RedirectResponse
    {
        $invoice->update(['paid_at' => null]);

        return redirect()
            ->route('invoices.show', $invoice)
            ->with('status', "Invoice {$invoice->number} is open again.");
    }
}
