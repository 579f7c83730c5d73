<?php

declare(strict_types=1);

namespace Tests\Feature;

use App\Invoicing\DeliveryStatus;
use App\Jobs\DeliverInvoice;
use App\Models\Customer;
use App\Models\Invoice;
use Database\Seeders\CustomerSeeder;
use Illuminate\Foundation\Testing\RefreshDatabase;
use Illuminate\Support\Carbon;
use Illuminate\Support\Facades\Bus;
use Tests\TestCase;

final class CreateInvoiceTest extends TestCase
{
    use RefreshDatabase;

    protected function setUp(): void
    {
        parent::setUp();
        Carbon::setTestNow('2026-11-22 09:00:00');
        $this->seed(CustomerSeeder::class);
        Bus::fake();
    }

    public function testTheFormOffersTheCustomersAndADueDate(): void
    {
        $this->get('/invoices/create')
            ->assertOk()
            ->assertSee('Aurora Coffee Roasters')
            ->assertSee('value="2026-12-06"', false);
    }

    public function testAnInvoiceIsNumberedTotalledAndQueued(): void
    {
        $this->post('/invoices', $this->input())
            ->assertRedirect('/invoices/INV-2026-0001')
            ->assertSessionHas('status');

        $invoice = Invoice::query()->sole();
        self::assertSame(7136, $invoice->total_cents);
        self::assertSame(DeliveryStatus::Queued, $invoice->delivery_status);
        self::assertSame([1999], $invoice->lines->pluck('unit_price_cents')->all());
        Bus::assertDispatched(DeliverInvoice::class, static fn ($job): bool => $job->invoiceId === $invoice->id);
    }

    public function testNumbersCountPerYearWithoutGaps(): void
    {
        $this->post('/invoices', $this->input());
        $this->post('/invoices', ['customer_id' => 0] + $this->input());
        $this->post('/invoices', $this->input());
        $this->post('/invoices', ['issued_on' => '2027-01-02', 'due_on' => '2027-01-02'] + $this->input());

        self::assertSame(
            ['INV-2026-0001', 'INV-2026-0002', 'INV-2027-0001'],
            Invoice::query()->orderBy('id')->pluck('number')->all(),
        );
    }

    /**
     * @dataProvider mistakes
     * @param array<string, mixed> $mistake
     */
    public function testMistakesAreShownAndNothingIsSaved(array $mistake, string $field): void
    {
        $this->from('/invoices/create')
            ->post('/invoices', array_replace_recursive($this->input(), $mistake))
            ->assertRedirect('/invoices/create')
            ->assertSessionHasErrors($field);

        self::assertSame(0, Invoice::query()->count());
        Bus::assertNothingDispatched();
    }

    /** @return array<string, array{array<string, mixed>, string}> */
    public static function mistakes(): array
    {
        return [
            'unknown customer' => [['customer_id' => 99999], 'customer_id'],
            'text as customer' => [['customer_id' => 'x'], 'customer_id'],
            'no date' => [['issued_on' => 'soon'], 'issued_on'],
            'due before issue' => [['due_on' => '2026-11-01'], 'due_on'],
            'tax not offered' => [['tax_basis_points' => 1], 'tax_basis_points'],
            'no description' => [['lines' => [['description' => '']]], 'lines.0.description'],
            'no quantity' => [['lines' => [['quantity' => 0]]], 'lines.0.quantity'],
            'three decimals' => [['lines' => [['unit_price' => '1.999']]], 'lines.0.unit_price'],
            'price as list' => [['lines' => [['unit_price' => ['1']]]], 'lines.0.unit_price'],
            'long notes' => [['notes' => str_repeat('x', 501)], 'notes'],
        ];
    }

    public function testAnInvoiceNeedsPositions(): void
    {
        $this->post('/invoices', ['lines' => []] + $this->input())->assertSessionHasErrors('lines');
        $this->post('/invoices', ['lines' => 'x'] + $this->input())->assertSessionHasErrors('lines');
    }

    public function testTheFormKeepsWhatWasTyped(): void
    {
        $input = ['customer_id' => ''] + $this->input();
        $input['lines'][7] = ['description' => 'Kept', 'quantity' => '2', 'unit_price' => 'oops'];

        $this->from('/invoices/create')->followingRedirects()->post('/invoices', $input)
            ->assertSee('lines[7][description]', false)
            ->assertSee('value="Kept"', false)
            ->assertSee('The price must be an amount');
    }

    /** @return array<string, mixed> */
    private function input(): array
    {
        return [
            'customer_id' => Customer::query()->value('id'),
            'issued_on' => '2026-11-22',
            'due_on' => '2026-12-06',
            'tax_basis_points' => 1900,
            'lines' => [['description' => 'Naming', 'quantity' => 3, 'unit_price' => '19.99']],
        ];
    }
}
