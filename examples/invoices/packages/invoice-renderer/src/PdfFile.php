<?php

declare(strict_types=1);

namespace Invoices\Renderer;

/** Writes pages as a PDF 1.4 file (ISO 32000-1, section 7.5): header, objects, cross-reference table, trailer. */
final class PdfFile
{
    private const CATALOG = 1;
    private const PAGES = 2;
    private const REGULAR = 3;
    private const BOLD = 4;
    private const FIRST_PAGE = 5;

    /** @param non-empty-list<PdfPage> $pages */
    public function write(array $pages): string
    {
        $objects = [
            self::CATALOG => '<< /Type /Catalog /Pages 2 0 R >>',
            self::PAGES => $this->pageTree(count($pages)),
            self::REGULAR => $this->font('Helvetica'),
            self::BOLD => $this->font('Helvetica-Bold'),
        ];

        foreach ($pages as $index => $page) {
            $number = self::FIRST_PAGE + 2 * $index;
            $objects[$number] = sprintf(
                '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 %d %d] /Contents %d 0 R '
                . '/Resources << /Font << /F1 %d 0 R /F2 %d 0 R >> >> >>',
                PdfPage::WIDTH,
                PdfPage::HEIGHT,
                $number + 1,
                self::REGULAR,
                self::BOLD,
            );
            $content = $page->content();
            $objects[$number + 1] = sprintf("<< /Length %d >>\nstream\n%s\nendstream", strlen($content), $content);
        }

        return $this->assemble($objects);
    }

    private function pageTree(int $count): string
    {
        $kids = array_map(
            static fn (int $index): string => (self::FIRST_PAGE + 2 * $index) . ' 0 R',
            range(0, $count - 1),
        );

        return sprintf('<< /Type /Pages /Kids [%s] /Count %d >>', implode(' ', $kids), $count);
    }

    private function font(string $name): string
    {
        return "<< /Type /Font /Subtype /Type1 /BaseFont /{$name} /Encoding /WinAnsiEncoding >>";
    }

    /** @param array<int, string> $objects numbered from 1 without gaps */
    private function assemble(array $objects): string
    {
        $file = "%PDF-1.4\n%\xE2\xE3\xCF\xD3\n";
        $entries = "0000000000 65535 f \n";

        foreach ($objects as $number => $object) {
            $entries .= sprintf("%010d 00000 n \n", strlen($file));
            $file .= "{$number} 0 obj\n{$object}\nendobj\n";
        }

        $size = count($objects) + 1;

        return $file . "xref\n0 {$size}\n{$entries}"
            . "trailer\n<< /Size {$size} /Root 1 0 R >>\nstartxref\n" . strlen($file) . "\n%%EOF\n";
    }
}
