<?php

declare(strict_types=1);

namespace Invoices\Renderer;

/** Who sells or who buys, as printed on the document. */
final class Party
{
    /** @param list<string> $address */
    public function __construct(
        public readonly string $name,
        public readonly string $email,
        public readonly array $address,
    ) {
    }
}
