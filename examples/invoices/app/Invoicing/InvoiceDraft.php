<?php

declare(strict_types=1);

namespace App\Invoicing;

use Illuminate\Support\Carbon;
use Invoices\Renderer\Line;

/** A validated wish for an invoice: everything but its number. */
final class InvoiceDraft
{
    /** @param non-empty-list<Line> $lines */
    public function __construct(
        public readonly int $customerId,
        public readonly Carbon $issuedOn,
        public readonly Carbon $dueOn,
        public readonly int $taxBasisPoints,
        public readonly array $lines,
        public readonly ?string $notes,
    ) {
    }
}
