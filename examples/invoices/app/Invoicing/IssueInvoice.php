<?php

declare(strict_types=1);

namespace App\Invoicing;

use App\Jobs\DeliverInvoice;
use App\Models\Invoice;
use App\Models\InvoiceLine;
use Illuminate\Database\ConnectionInterface;
use Invoices\Renderer\Line;
use Invoices\Renderer\Money;

/** Numbers and saves an invoice, then queues its delivery. */
final class IssueInvoice
{
    public function __construct(
        private readonly ConnectionInterface $database,
        private readonly InvoiceNumbers $numbers,
    ) {
    }

    public function __invoke(InvoiceDraft $draft): Invoice
    {
        $invoice = $this->database->transaction(fn (): Invoice => $this->save($draft));
        DeliverInvoice::dispatch($invoice->id);

        return $invoice;
    }

    /** Within a transaction. */
    public function save(InvoiceDraft $draft): Invoice
    {
        $net = array_reduce(
            $draft->lines,
            static fn (Money $sum, Line $line): Money => $sum->plus($line->total()),
            new Money(0),
        );

        $invoice = Invoice::query()->create([
            'number' => $this->numbers->next($draft->issuedOn->year),
            'customer_id' => $draft->customerId,
            'issued_on' => $draft->issuedOn,
            'due_on' => $draft->dueOn,
            'currency' => config('invoicing.currency'),
            'tax_basis_points' => $draft->taxBasisPoints,
            'total_cents' => $net->plus($net->share($draft->taxBasisPoints))->cents,
            'notes' => $draft->notes,
            'delivery_status' => DeliveryStatus::Queued,
        ]);
        $invoice->lines()->saveMany(array_map(
            static fn (Line $line, int $index): InvoiceLine => new InvoiceLine([
                'position' => $index + 1,
                'description' => $line->description,
                'quantity' => $line->quantity,
                'unit_price_cents' => $line->unitPrice->cents,
            ]),
            $draft->lines,
            array_keys($draft->lines),
        ));

        return $invoice;
    }
}
