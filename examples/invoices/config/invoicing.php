<?php

declare(strict_types=1);

return [
    'currency' => 'EUR',
    'payment_days' => 14,
    // Basis points: 1900 = 19 %.
    'tax_rates' => [0, 700, 1900],
    'default_tax_rate' => 1900,
    'seller' => [
        'name' => 'Mahout Studio',
        'email' => 'billing@mahout.example',
        'address' => ['Lindenallee 12', '10115 Berlin', 'Germany'],
    ],
];
