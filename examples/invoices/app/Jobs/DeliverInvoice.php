<?php

declare(strict_types=1);

namespace App\Jobs;

use App\Invoicing\DeliveryStatus;
use App\Mail\InvoiceMail;
use App\Models\Invoice;
use Illuminate\Bus\Queueable;
use Illuminate\Contracts\Mail\Mailer;
use Illuminate\Contracts\Queue\ShouldQueue;
use Illuminate\Foundation\Bus\Dispatchable;
use Illuminate\Queue\InteractsWithQueue;
use Illuminate\Support\Carbon;
use Throwable;

/** Renders an invoice and mails it to its customer. */
final class DeliverInvoice implements ShouldQueue
{
    use Dispatchable;
    use InteractsWithQueue;
    use Queueable;

    public int $timeout = 50;

    /** @var list<int> seconds before the second and the third attempt */
    public array $backoff = [3, 15];

    public function __construct(public readonly int $invoiceId)
    {
    }

    public function handle(Mailer $mailer): void
    {
        $invoice = Invoice::query()->with(['customer', 'lines'])->find($this->invoiceId);
        // A queue delivers at least once: a second run finds the work done.
        if ($invoice === null || $invoice->delivery_status === DeliveryStatus::Sent) {
            return;
        }

        $mailer->to($invoice->customer)->send(new InvoiceMail($invoice->toDocument()));
        $invoice->update([
            'delivery_status' => DeliveryStatus::Sent,
            'sent_at' => Carbon::now(),
            'delivery_error' => null,
        ]);
    }

    /** Called by Laravel after the last attempt. */
    public function failed(Throwable $cause): void
    {
        Invoice::query()->whereKey($this->invoiceId)->update([
            'delivery_status' => DeliveryStatus::Failed,
            'delivery_error' => mb_substr($cause->getMessage(), 0, 500),
        ]);
    }
}
