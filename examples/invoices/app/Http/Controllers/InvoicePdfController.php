<?php

declare(strict_types=1);

namespace App\Http\Controllers;

use App\Models\Invoice;
use Illuminate\Http\Response;
use Invoices\Renderer\PdfRenderer;

final class InvoicePdfController
{
    public function __invoke(Invoice $invoice, PdfRenderer $renderer): Response
    {
        return response($renderer->render($invoice->toDocument()), 200, [
            'Content-Type' => 'application/pdf',
            'Content-Disposition' => "inline; filename=\"{$invoice->number}.pdf\"",
        ]);
    }
}
