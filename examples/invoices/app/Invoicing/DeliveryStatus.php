<?php

declare(strict_types=1);

namespace App\Invoicing;

/** How far an invoice's mail has come. */
enum DeliveryStatus: string
{
    case Queued = 'queued';
    case Sent = 'sent';
    case Failed = 'failed';

    public function label(): string
    {
        return match ($this) {
            self::Queued => 'Mail queued',
            self::Sent => 'Mail sent',
            self::Failed => 'Mail failed',
        };
    }
}
