<?php

declare(strict_types=1);

namespace Tests\Feature;

use App\Invoicing\DeliveryStatus;
use App\Jobs\DeliverInvoice;
use App\Mail\InvoiceMail;
use App\Models\Invoice;
use Illuminate\Contracts\Mail\Mailer;
use Illuminate\Foundation\Testing\RefreshDatabase;
use Illuminate\Support\Facades\Mail;
use RuntimeException;
use Swift_Message;
use Tests\TestCase;

final class DeliveryTest extends TestCase
{
    use RefreshDatabase;

    private Invoice $invoice;

    protected function setUp(): void
    {
        parent::setUp();
        $this->seed();
        $this->invoice = Invoice::query()->with('customer')->firstOrFail();
        $this->invoice->update(['delivery_status' => DeliveryStatus::Queued, 'sent_at' => null]);
    }

    public function testTheCustomerGetsTheInvoice(): void
    {
        DeliverInvoice::dispatch($this->invoice->id);

        $messages = $this->app->make('mail.manager')->mailer('array')->getSwiftMailer()->getTransport()->messages();
        self::assertCount(1, $messages);
        self::assertSame([$this->invoice->customer->email], array_keys($messages[0]->getTo()));
        self::assertStringContainsString($this->invoice->number, $messages[0]->getSubject());
        self::assertStringContainsString('<table', $messages[0]->getBody());
        ['text/plain' => $text, 'application/pdf' => $pdf] = $this->parts($messages[0]);
        self::assertMatchesRegularExpression('/^Total +€/m', $text);
        self::assertStringStartsWith('%PDF-', $pdf);
        self::assertSame(DeliveryStatus::Sent, $this->invoice->refresh()->delivery_status);
        self::assertNotNull($this->invoice->sent_at);
    }

    public function testASecondRunSendsNothing(): void
    {
        Mail::fake();
        DeliverInvoice::dispatch($this->invoice->id);
        DeliverInvoice::dispatch($this->invoice->id);

        Mail::assertSent(InvoiceMail::class, 1);
    }

    public function testAVanishedInvoiceIsNoFault(): void
    {
        Mail::fake();
        DeliverInvoice::dispatch(0);

        Mail::assertNothingSent();
    }

    public function testTheLastFailureIsShown(): void
    {
        (new DeliverInvoice($this->invoice->id))->failed(new RuntimeException('mailbox full'));

        self::assertSame(DeliveryStatus::Failed, $this->invoice->refresh()->delivery_status);
        $this->get("/invoices/{$this->invoice->number}")->assertSee('Mail failed')->assertSee('mailbox full');
    }

    public function testAFailedAttemptLeavesTheInvoiceQueued(): void
    {
        $mailer = $this->createMock(Mailer::class);
        $mailer->method('to')->willThrowException(new RuntimeException('connection refused'));

        try {
            (new DeliverInvoice($this->invoice->id))->handle($mailer);
            self::fail('the attempt fails');
        } catch (RuntimeException) {
            self::assertSame(DeliveryStatus::Queued, $this->invoice->refresh()->delivery_status);
        }
    }

    public function testThePageCanAskHowFarTheMailIs(): void
    {
        $this->getJson("/invoices/{$this->invoice->number}/delivery")
            ->assertExactJson(['status' => 'queued', 'label' => 'Mail queued', 'sent_at' => null]);
    }

    public function testAMailCanBeSentAgain(): void
    {
        $this->invoice->update(['delivery_status' => DeliveryStatus::Sent]);
        Mail::fake();
        $this->post("/invoices/{$this->invoice->number}/delivery")->assertRedirect();

        Mail::assertSent(InvoiceMail::class, 1);
    }

    /** @return array<string, string> the bodies of the message's parts, by content type */
    private function parts(Swift_Message $message): array
    {
        $parts = [];
        foreach ($message->getChildren() as $part) {
            $parts[$part->getContentType()] = $part->getBody();
        }

        return $parts;
    }
}
