<?php

declare(strict_types=1);

namespace Invoices\Renderer;

/** The invoice as plain text, for the mail's text part. */
final class TextRenderer
{
    private const WIDTH = 72;

    public function render(Document $document): string
    {
        $rule = str_repeat('-', self::WIDTH);
        $rows = [
            $this->row('Invoice ' . $document->number, $document->seller->name),
            $this->row('Issued ' . $document->issuedOn->format('j F Y'), 'Due ' . $document->dueOn->format('j F Y')),
            '',
            'For ' . $document->buyer->name,
            ...$document->buyer->address,
            $rule,
        ];

        foreach ($document->lines as $line) {
            $rows[] = $this->row("{$line->quantity} x {$line->description}", (string) $line->total());
        }

        return implode("\n", [
            ...$rows,
            $rule,
            $this->row('Net', (string) $document->net()),
            $this->row('Tax ' . $document->taxRate(), (string) $document->tax()),
            $this->row('Total', (string) $document->total()),
            ...($document->notes === null ? [] : ['', $document->notes]),
        ]) . "\n";
    }

    private function row(string $left, string $right): string
    {
        $room = self::WIDTH - mb_strlen($right) - 1;
        $left = mb_strimwidth($left, 0, $room, '…');

        return $left . str_repeat(' ', max(1, self::WIDTH - mb_strwidth($left) - mb_strlen($right))) . $right;
    }
}
