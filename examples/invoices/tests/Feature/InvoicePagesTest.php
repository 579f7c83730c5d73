<?php

declare(strict_types=1);

namespace Tests\Feature;

use App\Models\Customer;
use App\Models\Invoice;
use Illuminate\Contracts\Encryption\Encrypter;
use Illuminate\Foundation\Http\Middleware\VerifyCsrfToken;
use Illuminate\Foundation\Testing\RefreshDatabase;
use Illuminate\Http\Request;
use Illuminate\Session\TokenMismatchException;
use Illuminate\Support\Carbon;
use Tests\TestCase;

final class InvoicePagesTest extends TestCase
{
    use RefreshDatabase;

    protected function setUp(): void
    {
        parent::setUp();
        $this->seed();
    }

    public function testTheFrontPageLeadsToTheList(): void
    {
        $this->get('/')->assertRedirect('/invoices');
    }

    public function testTheListShowsInvoicesAndTheirStates(): void
    {
        $this->get('/invoices')
            ->assertOk()
            ->assertSee('Fjord Analytics')
            ->assertSeeInOrder(['Outstanding', '€13,302.77', 'Overdue', '€3,605.70', 'Paid', '€14,363.30'])
            ->assertSee('/build/assets/app-12345678.js', false);
    }

    public function testTheListHasPages(): void
    {
        $invoice = Invoice::query()->firstOrFail();
        foreach (range(1, 10) as $number) {
            $invoice->replicate()->fill(['number' => "X-{$number}"])->save();
        }

        $this->get('/invoices')->assertSee('Page 1 of 2')->assertDontSee($invoice->number);
        $this->get('/invoices?page=2')->assertSee($invoice->number);
    }

    public function testAnInvoiceShowsItsPositions(): void
    {
        $this->get('/invoices/' . $this->open()->number)
            ->assertOk()
            ->assertSee('Dashboard design, days')
            ->assertSee('€7,984.90')
            ->assertSee('Mail sent');
    }

    public function testAnUnknownInvoiceIsNotFound(): void
    {
        $this->get('/invoices/INV-1999-0001')->assertNotFound()->assertSee('no such page');
    }

    public function testThePdfIsAPdf(): void
    {
        $response = $this->get('/invoices/' . $this->open()->number . '/pdf');

        $response->assertOk()->assertHeader('Content-Type', 'application/pdf');
        self::assertStringStartsWith('%PDF-', $response->getContent());
    }

    public function testMarkingAsPaidKeepsTheFirstDate(): void
    {
        $invoice = $this->open();

        Carbon::setTestNow('2026-11-22 10:00:00');
        $this->post("/invoices/{$invoice->number}/payment")->assertRedirect("/invoices/{$invoice->number}");
        Carbon::setTestNow('2026-11-23 10:00:00');
        $this->post("/invoices/{$invoice->number}/payment")->assertRedirect();

        self::assertSame('2026-11-22', $invoice->refresh()->paid_at->toDateString());
    }

    public function testAPaymentCanBeTakenBack(): void
    {
        $invoice = $this->open();
        $this->post("/invoices/{$invoice->number}/payment");
        $this->delete("/invoices/{$invoice->number}/payment")->assertRedirect();

        self::assertNull($invoice->refresh()->paid_at);
    }

    public function testAFormWithoutATokenIsRefused(): void
    {
        // In tests Laravel lets every form pass, so the middleware is asked directly, as if in production.
        $this->app->instance('env', 'production');
        $this->app['session']->start();
        $request = Request::create('/invoices', 'POST');
        $request->setLaravelSession($this->app['session']->driver());
        $middleware = new class ($this->app, $this->app->make(Encrypter::class)) extends VerifyCsrfToken {
            protected function runningUnitTests(): bool
            {
                return false;
            }
        };

        $this->expectException(TokenMismatchException::class);
        $middleware->handle($request, static fn () => null);
    }

    public function testSeedingAgainChangesNothing(): void
    {
        $before = [Customer::query()->count(), Invoice::query()->count()];
        $this->seed();

        self::assertSame($before, [Customer::query()->count(), Invoice::query()->count()]);
    }

    private function open(): Invoice
    {
        return Invoice::query()->whereRelation('customer', 'name', 'Fjord Analytics')->firstOrFail();
    }
}
