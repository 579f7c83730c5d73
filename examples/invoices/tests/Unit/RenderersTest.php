<?php

declare(strict_types=1);

namespace Tests\Unit;

use DateTimeImmutable;
use Invoices\Renderer\Document;
use Invoices\Renderer\HtmlRenderer;
use Invoices\Renderer\Line;
use Invoices\Renderer\Money;
use Invoices\Renderer\Party;
use Invoices\Renderer\PdfRenderer;
use Invoices\Renderer\TextRenderer;
use PHPUnit\Framework\TestCase;

final class RenderersTest extends TestCase
{
    public function testTextCarriesLinesAndTotals(): void
    {
        $text = (new TextRenderer())->render($this->document([new Line('Naming <b>', 3, new Money(1999))]));

        self::assertMatchesRegularExpression('/^3 x Naming <b> +€59\.97$/m', $text);
        self::assertMatchesRegularExpression('/^Tax 19 % +€11\.39$/m', $text);
        self::assertMatchesRegularExpression('/^Total +€71\.36$/m', $text);
    }

    public function testTextRowsShareOneWidth(): void
    {
        $text = (new TextRenderer())->render($this->document([
            new Line(str_repeat('very long ', 20), 1, new Money(100)),
            new Line('Ünïcödé', 1, new Money(100)),
        ]));

        foreach (preg_grep('/€/u', explode("\n", $text)) as $row) {
            self::assertSame(72, mb_strlen($row), $row);
        }
    }

    public function testHtmlEscapesWhatPeopleWrite(): void
    {
        $html = (new HtmlRenderer())->render($this->document([new Line('<script>"x"</script>', 1, new Money(100))]));

        self::assertStringNotContainsString('<script>', $html);
        self::assertStringContainsString('&lt;script&gt;', $html);
    }

    public function testPdfCrossReferencesPointAtItsObjects(): void
    {
        $pdf = (new PdfRenderer())->render($this->document([new Line('A (small) thing \\', 1, new Money(100))]));

        self::assertStringStartsWith('%PDF-1.4', $pdf);
        self::assertStringEndsWith("%%EOF\n", $pdf);
        self::assertStringContainsString('(A \\(small\\) thing \\\\)', $pdf);
        preg_match_all('/^(\d{10}) 00000 n $/m', $pdf, $entries);
        self::assertCount(6, $entries[1]);
        foreach ($entries[1] as $index => $offset) {
            self::assertStringStartsWith(($index + 1) . ' 0 obj', substr($pdf, (int) $offset));
        }
        preg_match('/startxref\n(\d+)/', $pdf, $start);
        self::assertStringStartsWith('xref', substr($pdf, (int) $start[1]));
    }

    public function testALongInvoiceGetsMorePages(): void
    {
        $pdf = (new PdfRenderer())->render($this->document(array_fill(0, 45, new Line('Hour', 1, new Money(100)))));

        self::assertStringContainsString('/Count 3', $pdf);
        self::assertSame(1, substr_count($pdf, '(Net) Tj'), 'the sums stand on the last page only');
        self::assertGreaterThan(strpos($pdf, '(2 / 3)'), strpos($pdf, '(Net) Tj'));
    }

    /** @param list<Line> $lines */
    private function document(array $lines): Document
    {
        return new Document(
            number: 'INV-2026-0042',
            issuedOn: new DateTimeImmutable('2026-11-01'),
            dueOn: new DateTimeImmutable('2026-11-15'),
            seller: new Party('Mahout Studio', 'billing@mahout.example', ['Lindenallee 12']),
            buyer: new Party('Müller & Co', 'mueller@example.com', ['Am Markt 3']),
            lines: $lines,
            taxBasisPoints: 1900,
            currency: 'EUR',
        );
    }
}
