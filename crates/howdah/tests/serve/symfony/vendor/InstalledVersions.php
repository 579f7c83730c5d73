<?php

namespace Composer;

class InstalledVersions
{
    public static function isInstalled(string $package, bool $includeDevelopment = true): bool
    {
        return false;
    }

    public static function getRootPackage(): array
    {
        return ['name' => 'app'];
    }
}
