<?php

declare(strict_types=1);

namespace Tests\Unit;

use InvalidArgumentException;
use Invoices\Renderer\Money;
use PHPUnit\Framework\TestCase;

final class MoneyTest extends TestCase
{
    /** @dataProvider amounts */
    public function testReadsWhatAPersonTypes(string $text, int $cents): void
    {
        self::assertSame($cents, Money::parse($text)->cents);
    }

    /** @return list<array{string, int}> */
    public static function amounts(): array
    {
        return [['12', 1200], ['12.5', 1250], ['12,50', 1250], [' 0.07 ', 7], ['1000000', 100_000_000]];
    }

    /** @dataProvider nonsense */
    public function testRefusesWhatIsNoAmount(string $text): void
    {
        $this->expectException(InvalidArgumentException::class);
        Money::parse($text);
    }

    /** @return list<array{string}> */
    public static function nonsense(): array
    {
        return [[''], ['-1'], ['1.234'], ['1e3'], ['12.'], ['twelve'], ['99999999']];
    }

    public function testRoundsASharedCentHalfUp(): void
    {
        self::assertSame(1139, (new Money(5997))->share(1900)->cents);
        self::assertSame(1, (new Money(5))->share(1000)->cents);
        self::assertSame(0, (new Money(4))->share(1000)->cents);
    }

    public function testPrintsThousandsAndCurrency(): void
    {
        self::assertSame('€1,234,567.08', (string) new Money(123_456_708));
        self::assertSame('-$0.05', (string) new Money(-5, 'USD'));
        self::assertSame('CHF 1.00', (string) new Money(100, 'CHF'));
    }
}
