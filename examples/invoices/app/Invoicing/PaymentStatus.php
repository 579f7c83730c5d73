<?php

declare(strict_types=1);

namespace App\Invoicing;

enum PaymentStatus: string
{
    case Open = 'open';
    case Overdue = 'overdue';
    case Paid = 'paid';

    public function label(): string
    {
        return ucfirst($this->value);
    }
}
