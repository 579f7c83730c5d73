<?php

declare(strict_types=1);

namespace Invoices\Renderer;

/** Lays an invoice out on A4 pages. */
final class PdfRenderer
{
    private const LEFT = 56;
    private const RIGHT = 539;
    private const QUANTITY = 402;
    private const PRICE = 470;
    private const LINES_PER_PAGE = 20;

    public function render(Document $document): string
    {
        $chunks = array_chunk($document->lines, self::LINES_PER_PAGE) ?: [[]];
        $pages = [];
        foreach ($chunks as $index => $lines) {
            $page = new PdfPage();
            $this->head($page, $document);
            $y = $this->lines($page, $lines);
            if ($index === array_key_last($chunks)) {
                $this->sums($page, $document, $y);
            }
            $page->text(self::LEFT, 806, $document->seller->name . '  ' . $document->seller->email, 8);
            $page->textRight(self::RIGHT, 806, sprintf('%d / %d', $index + 1, count($chunks)), 8);
            $pages[] = $page;
        }

        return (new PdfFile())->write($pages);
    }

    private function head(PdfPage $page, Document $document): void
    {
        $page->text(self::LEFT, 72, 'Invoice ' . $document->number, 20, true)
            ->text(self::LEFT, 112, 'From', 8)
            ->text(self::LEFT, 126, $document->seller->name, 10, true)
            ->text(230, 112, 'To', 8)
            ->text(230, 126, $document->buyer->name, 10, true)
            ->text(420, 112, 'Issued', 8)
            ->text(420, 126, $document->issuedOn->format('j F Y'))
            ->text(420, 146, 'Due', 8)
            ->text(420, 160, $document->dueOn->format('j F Y'), 10, true);
        foreach ([[self::LEFT, $document->seller], [230, $document->buyer]] as [$x, $party]) {
            foreach ($party->address as $row => $text) {
                $page->text($x, 140 + 14 * $row, $text);
            }
        }
        $page->text(self::LEFT, 226, 'Description', 8)
            ->textRight(self::QUANTITY, 226, 'Quantity', 8)
            ->textRight(self::PRICE, 226, 'Price', 8)
            ->textRight(self::RIGHT, 226, 'Total', 8)
            ->rule(self::LEFT, self::RIGHT, 232);
    }

    /** @param list<Line> $lines */
    private function lines(PdfPage $page, array $lines): int
    {
        $y = 250;
        foreach ($lines as $line) {
            $page->text(self::LEFT, $y, mb_strimwidth($line->description, 0, 56, '…'))
                ->textRight(self::QUANTITY, $y, (string) $line->quantity)
                ->textRight(self::PRICE, $y, $line->unitPrice->amount())
                ->textRight(self::RIGHT, $y, $line->total()->amount())
                ->rule(self::LEFT, self::RIGHT, $y + 8);
            $y += 22;
        }

        return $y;
    }

    private function sums(PdfPage $page, Document $document, int $y): void
    {
        $page->text(370, $y + 12, 'Net')
            ->textRight(self::RIGHT, $y + 12, (string) $document->net())
            ->text(370, $y + 28, 'Tax ' . $document->taxRate())
            ->textRight(self::RIGHT, $y + 28, (string) $document->tax())
            ->text(370, $y + 50, 'Total', 13, true)
            ->textRight(self::RIGHT, $y + 50, (string) $document->total(), 13, true);
        if ($document->notes !== null) {
            $page->text(self::LEFT, $y + 12, mb_strimwidth($document->notes, 0, 60, '…'), 9);
        }
    }
}
