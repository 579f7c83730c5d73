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

        $mails = $this->mails();
        self::assertCount(1, $mails);
        self::assertStringContainsString($this->invoice->customer->email, $this->field($mails[0], 'To'));
        self::assertStringContainsString($this->invoice->number, $this->field($mails[0], 'Subject'));
        ['text/html' => $html, 'text/plain' => $text, 'application/pdf' => $pdf] = $this->parts($mails[0]);
        self::assertStringContainsString('<table', $html);
        self::assertMatchesRegularExpression('/^Total +€/mu', $text);
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

    /** @return list<string> what was sent, as RFC 5322 has it: Laravel 8 mails by Swift Mailer, Laravel 10 by Symfony Mailer */
    private function mails(): array
    {
        $mailer = $this->app->make('mail.manager')->mailer('array');
        $transport = method_exists($mailer, 'getSymfonyTransport')
            ? $mailer->getSymfonyTransport()
            : $mailer->getSwiftMailer()->getTransport();

        return $transport->messages()->map(static fn (object $message): string => $message->toString())->all();
    }

    /** @return array<string, string> the decoded bodies of the message's parts, by content type */
    private function parts(string $mail): array
    {
        preg_match_all('/boundary="?([^";\r\n]+)/', $mail, $boundaries);
        $boundary = implode('|', array_map(preg_quote(...), $boundaries[1]));
        $parts = [];
        foreach (preg_split("~^--({$boundary})(--)?\r?$~m", $mail) as $part) {
            [$head, $body] = explode("\r\n\r\n", ltrim($part), 2) + [1 => ''];
            $parts[$this->field($head, 'Content-Type')] = match ($this->field($head, 'Content-Transfer-Encoding')) {
                'base64' => base64_decode($body),
                'quoted-printable' => quoted_printable_decode($body),
                default => $body,
            };
        }

        return $parts;
    }

    /** A field of a head up to its parameters, empty if it is not there. */
    private function field(string $head, string $name): string
    {
        return preg_match("/^{$name}: ([^;\r\n]*)/mi", $head, $match) === 1 ? $match[1] : '';
    }
}
