<?php

declare(strict_types=1);

namespace App\Http\Controllers;

use App\Invoicing\DeliveryStatus;
use App\Jobs\DeliverInvoice;
use App\Models\Invoice;
use Illuminate\Http\JsonResponse;
use Illuminate\Http\RedirectResponse;

/** The mail of an invoice: how far it is, and sending it again. */
final class InvoiceDeliveryController
{
    public function show(Invoice $invoice): JsonResponse
    {
        return response()->json([
            'status' => $invoice->delivery_status->value,
            'label' => $invoice->delivery_status->label(),
            'sent_at' => $invoice->sent_at?->toIso8601String(),
        ]);
    }

    public function store(Invoice $invoice): RedirectResponse
    {
        $invoice->update(['delivery_status' => DeliveryStatus::Queued, 'delivery_error' => null]);
        DeliverInvoice::dispatch($invoice->id);

        return redirect()->route('invoices.show', $invoice)->with('status', 'The mail is queued again.');
    }
}
