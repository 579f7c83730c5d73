<?php

declare(strict_types=1);

namespace Invoices\Renderer;

/** The content stream of one A4 page (ISO 32000-1, sections 8 and 9). Coordinates in points, origin top left. */
final class PdfPage
{
    public const WIDTH = 595;
    public const HEIGHT = 842;

    /** Of the characters 32 to 126, in thousandths of the font size (Adobe's metrics of Helvetica). */
    private const WIDTHS = [
        278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
        556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
        1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
        667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
        333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
        556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
    ];
    /** Also the euro sign's. */
    private const FIGURE_WIDTH = 556;

    private string $content = '';

    public function text(float $x, float $y, string $text, float $size = 10, bool $bold = false): self
    {
        $this->content .= sprintf(
            "BT /%s %.2F Tf %.2F %.2F Td (%s) Tj ET\n",
            $bold ? 'F2' : 'F1',
            $size,
            $x,
            self::HEIGHT - $y,
            $this->escape($text),
        );

        return $this;
    }

    public function textRight(float $x, float $y, string $text, float $size = 10, bool $bold = false): self
    {
        return $this->text($x - $this->width($text, $size), $y, $text, $size, $bold);
    }

    public function rule(float $from, float $to, float $y): self
    {
        $this->content .= sprintf(
            "0.8 G 0.5 w %.2F %.2F m %.2F %.2F l S\n",
            $from,
            self::HEIGHT - $y,
            $to,
            self::HEIGHT - $y,
        );

        return $this;
    }

    public function content(): string
    {
        return $this->content;
    }

    /** Right for Helvetica; in bold, digits and punctuation, which are what gets aligned, are as wide. */
    private function width(string $text, float $size): float
    {
        $units = 0;
        foreach (mb_str_split($text) as $character) {
            $units += self::WIDTHS[mb_ord($character) - 32] ?? self::FIGURE_WIDTH;
        }

        return $units * $size / 1000;
    }

    /** The standard fonts speak WinAnsi (Windows-1252); what it cannot say becomes a question mark. */
    private function escape(string $text): string
    {
        $encoded = mb_convert_encoding($text, 'Windows-1252', 'UTF-8');

        return strtr($encoded, ['\\' => '\\\\', '(' => '\\(', ')' => '\\)', "\r" => ' ', "\n" => ' ']);
    }
}
