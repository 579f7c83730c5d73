<?php

declare(strict_types=1);

namespace App\Invoicing;

use Illuminate\Database\ConnectionInterface;

/** Consecutive numbers per year, without gaps: the row stays locked until the invoice's transaction ends. */
final class InvoiceNumbers
{
    public function __construct(private readonly ConnectionInterface $database)
    {
    }

    /** Call inside the transaction that saves the invoice. */
    public function next(int $year): string
    {
        $this->database->table('invoice_counters')->insertOrIgnore(['year' => $year, 'last' => 0]);
        $counter = $this->database->table('invoice_counters')->where('year', $year);
        $last = (int) $counter->lockForUpdate()->value('last') + 1;
        $counter->update(['last' => $last]);

        return sprintf('INV-%d-%04d', $year, $last);
    }
}
