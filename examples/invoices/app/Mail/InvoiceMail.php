<?php

declare(strict_types=1);

namespace App\Mail;

use Illuminate\Mail\Mailable;
use Invoices\Renderer\Document;
use Invoices\Renderer\HtmlRenderer;
use Invoices\Renderer\PdfRenderer;
use Invoices\Renderer\TextRenderer;

final class InvoiceMail extends Mailable
{
    public function __construct(public readonly Document $document)
    {
    }

    public function build(HtmlRenderer $html, TextRenderer $text, PdfRenderer $pdf): self
    {
        return $this
            ->subject("Invoice {$this->document->number} from {$this->document->seller->name}")
            ->replyTo($this->document->seller->email, $this->document->seller->name)
            ->view('emails.invoice', ['html' => $html->render($this->document)])
            ->text('emails.invoice-text', ['text' => $text->render($this->document)])
            ->attachData(
                $pdf->render($this->document),
                "{$this->document->number}.pdf",
                ['mime' => 'application/pdf'],
            );
    }
}
