<?php

declare(strict_types=1);

namespace App;

/** Loaded by the first request that needs it, when workers have long been forked. */
final class Later
{
    public static ?string $who = null;

    /** @var list<string> */
    public static array $seen = ['boot'];
}
