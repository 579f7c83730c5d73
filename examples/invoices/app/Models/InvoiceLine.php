<?php

declare(strict_types=1);

namespace App\Models;

use Illuminate\Database\Eloquent\Model;
use Invoices\Renderer\Line;
use Invoices\Renderer\Money;

final class InvoiceLine extends Model
{
    public $timestamps = false;

    protected $fillable = ['position', 'description', 'quantity', 'unit_price_cents'];

    protected $casts = ['quantity' => 'integer', 'unit_price_cents' => 'integer'];

    public function toLine(string $currency): Line
    {
        return new Line($this->description, $this->quantity, new Money($this->unit_price_cents, $currency));
    }
}
