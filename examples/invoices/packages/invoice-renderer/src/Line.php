<?php

declare(strict_types=1);

namespace Invoices\Renderer;

/** One position of the document. */
final class Line
{
    public function __construct(
        public readonly string $description,
        public readonly int $quantity,
        public readonly Money $unitPrice,
    ) {
    }

    public function total(): Money
    {
        return $this->unitPrice->times($this->quantity);
    }
}
