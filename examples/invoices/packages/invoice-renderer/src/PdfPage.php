<?php

declare(strict_types=1);

namespace Invoices\Renderer;

/** The content stream of one A4 page (ISO 32000-1, sections 8 and 9). Coordinates in points, origin top left. */
final class PdfPage
{
    public const WIDTH = 595;
    public const HEIGHT = 842;

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

    /** Digits and punctuation are what gets aligned; in Helvetica digits are 556/1000 em, stops and blanks 278/1000. */
    private function width(string $text, float $size): float
    {
        $units = 0;
        foreach (mb_str_split($text) as $character) {
            $units += str_contains('.,: ', $character) ? 278 : 556;
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
