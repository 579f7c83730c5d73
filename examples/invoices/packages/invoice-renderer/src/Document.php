<?php

declare(strict_types=1);

namespace Invoices\Renderer;

use DateTimeInterface;

/** All that appears on a rendered invoice; knows nothing of databases or frameworks. */
final class Document
{
    /** @param list<Line> $lines */
    public function __construct(
        public readonly string $number,
        public readonly DateTimeInterface $issuedOn,
        public readonly DateTimeInterface $dueOn,
        public readonly Party $seller,
        public readonly Party $buyer,
        public readonly array $lines,
        public readonly int $taxBasisPoints,
        public readonly string $currency,
        public readonly ?string $notes = null,
    ) {
    }

    public function net(): Money
    {
        return array_reduce(
            $this->lines,
            static fn (Money $sum, Line $line): Money => $sum->plus($line->total()),
            new Money(0, $this->currency),
        );
    }

    public function tax(): Money
    {
        return $this->net()->share($this->taxBasisPoints);
    }

    public function total(): Money
    {
        return $this->net()->plus($this->tax());
    }

    /** `19 %`, `7.5 %`. */
    public function taxRate(): string
    {
        $percent = rtrim(rtrim(sprintf('%.2F', $this->taxBasisPoints / 100), '0'), '.');

        return $percent . ' %';
    }
}
