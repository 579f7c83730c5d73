<?php

declare(strict_types=1);

namespace Invoices\Renderer;

/** The invoice as one HTML fragment with inline styles, the only ones mail programs keep. */
final class HtmlRenderer
{
    private const CELL = 'padding:10px 0;border-bottom:1px solid #e5e7eb;';
    private const RIGHT = 'text-align:right;white-space:nowrap;';

    public function render(Document $document): string
    {
        $lines = implode('', array_map($this->line(...), $document->lines));
        $sums = $this->sum('Net', $document->net())
            . $this->sum('Tax ' . $document->taxRate(), $document->tax())
            . $this->sum('Total', $document->total(), 'font-weight:700;font-size:18px;');
        $notes = $document->notes === null
            ? ''
            : '<p style="color:#6b7280;margin:24px 0 0">' . nl2br($this->escape($document->notes)) . '</p>';

        return '<table role="presentation" width="100%" cellspacing="0" style="border-collapse:collapse">'
            . $lines . $sums . '</table>' . $notes;
    }

    private function line(Line $line): string
    {
        return sprintf(
            '<tr><td style="%1$s">%2$s<br><small style="color:#6b7280">%3$d × %4$s</small></td>'
            . '<td style="%1$s%5$s">%6$s</td></tr>',
            self::CELL,
            $this->escape($line->description),
            $line->quantity,
            $this->escape((string) $line->unitPrice),
            self::RIGHT,
            $this->escape((string) $line->total()),
        );
    }

    private function sum(string $label, Money $amount, string $style = 'color:#6b7280;'): string
    {
        return sprintf(
            '<tr><td style="padding:8px 0 0;%1$s">%2$s</td><td style="padding:8px 0 0;%1$s%3$s">%4$s</td></tr>',
            $style,
            $this->escape($label),
            self::RIGHT,
            $this->escape((string) $amount),
        );
    }

    private function escape(string $text): string
    {
        return htmlspecialchars($text, ENT_QUOTES | ENT_SUBSTITUTE | ENT_HTML5, 'UTF-8');
    }
}
