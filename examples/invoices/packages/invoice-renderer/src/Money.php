<?php

declare(strict_types=1);

namespace Invoices\Renderer;

use InvalidArgumentException;

/** An amount in integer cents. No float ever holds money. */
final class Money
{
    public function __construct(public readonly int $cents, public readonly string $currency = 'EUR')
    {
    }

    /** Reads what a person types into a form: `12`, `12.5` or `12,50`. */
    public static function parse(string $text, string $currency = 'EUR'): self
    {
        if (preg_match('/^(\d{1,7})(?:[.,](\d{1,2}))?$/', trim($text), $parts) !== 1) {
            throw new InvalidArgumentException("not an amount of money: `{$text}`");
        }

        return new self((int) $parts[1] * 100 + (int) str_pad($parts[2] ?? '', 2, '0'), $currency);
    }

    public function times(int $quantity): self
    {
        return new self($this->cents * $quantity, $this->currency);
    }

    /** A share in basis points (1900 = 19 %), rounded half up to the cent. */
    public function share(int $basisPoints): self
    {
        return new self(intdiv($this->cents * $basisPoints + 5000, 10000), $this->currency);
    }

    public function plus(self $other): self
    {
        return new self($this->cents + $other->cents, $this->currency);
    }

    /** `1,234.50`, without the currency. */
    public function amount(): string
    {
        $units = number_format(intdiv(abs($this->cents), 100));

        return sprintf('%s%s.%02d', $this->cents < 0 ? '-' : '', $units, abs($this->cents) % 100);
    }

    public function __toString(): string
    {
        $symbol = ['EUR' => '€', 'GBP' => '£', 'USD' => '$'][$this->currency] ?? $this->currency . ' ';

        return $this->cents < 0
            ? '-' . $symbol . substr($this->amount(), 1)
            : $symbol . $this->amount();
    }
}
