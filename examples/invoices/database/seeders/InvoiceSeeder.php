<?php

declare(strict_types=1);

namespace Database\Seeders;

use App\Invoicing\DeliveryStatus;
use App\Invoicing\InvoiceDraft;
use App\Invoicing\IssueInvoice;
use App\Models\Customer;
use Illuminate\Database\Seeder;
use Illuminate\Support\Carbon;
use Invoices\Renderer\Line;
use Invoices\Renderer\Money;

/** A little history: invoices that were sent long ago, so nothing is mailed. */
final class InvoiceSeeder extends Seeder
{
    /** Customer, days since issue, days from issue to payment or null, lines. */
    private const INVOICES = [
        ['Aurora Coffee Roasters', 62, 9, [['Brand identity', 1, 480000], ['Packaging labels', 6, 32000]]],
        ['Cobalt Cycles', 41, 15, [['Online shop, monthly retainer', 1, 185000]]],
        ['Evergreen Nursery', 33, null, [['Seasonal catalogue', 1, 264000], ['Proofreading, hours', 5, 7800]]],
        ['Delta Film Lab', 12, 4, [['Title sequence', 1, 350000]]],
        ['Fjord Analytics', 6, null, [['Dashboard design, days', 8, 72000], ['Icon set', 1, 95000]]],
        ['Brückner & Söhne', 2, null, [['Website maintenance, hours', 12, 9500], ['Hosting', 12, 2490]]],
    ];

    public function run(IssueInvoice $issue): void
    {
        foreach (self::INVOICES as [$customer, $age, $paidAfter, $lines]) {
            $issued = Carbon::today()->subDays($age);
            $invoice = $issue->save(new InvoiceDraft(
                customerId: Customer::query()->where('name', $customer)->firstOrFail()->id,
                issuedOn: $issued,
                dueOn: $issued->copy()->addDays(config('invoicing.payment_days')),
                taxBasisPoints: config('invoicing.default_tax_rate'),
                lines: array_map(
                    static fn (array $line): Line => new Line($line[0], $line[1], new Money($line[2])),
                    $lines,
                ),
                notes: null,
            ));
            $invoice->update([
                'paid_at' => $paidAfter === null ? null : $issued->copy()->addDays($paidAfter)->addHours(10),
                'delivery_status' => DeliveryStatus::Sent,
                'sent_at' => $issued->copy()->addHours(9),
            ]);
        }
    }
}
