<?php

declare(strict_types=1);

namespace App\Models;

use App\Invoicing\DeliveryStatus;
use App\Invoicing\PaymentStatus;
use Illuminate\Database\Eloquent\Builder;
use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\Relations\BelongsTo;
use Illuminate\Database\Eloquent\Relations\HasMany;
use Illuminate\Support\Carbon;
use Invoices\Renderer\Document;
use Invoices\Renderer\Line;
use Invoices\Renderer\Money;
use Invoices\Renderer\Party;

final class Invoice extends Model
{
    protected $fillable = [
        'number',
        'customer_id',
        'issued_on',
        'due_on',
        'currency',
        'tax_basis_points',
        'total_cents',
        'notes',
        'paid_at',
        'delivery_status',
        'sent_at',
        'delivery_error',
    ];

    protected $casts = [
        'issued_on' => 'immutable_date',
        'due_on' => 'immutable_date',
        'tax_basis_points' => 'integer',
        'total_cents' => 'integer',
        'paid_at' => 'immutable_datetime',
        'sent_at' => 'immutable_datetime',
        'delivery_status' => DeliveryStatus::class,
    ];

    public function getRouteKeyName(): string
    {
        return 'number';
    }

    public function customer(): BelongsTo
    {
        return $this->belongsTo(Customer::class);
    }

    public function lines(): HasMany
    {
        return $this->hasMany(InvoiceLine::class)->orderBy('position');
    }

    public function scopeUnpaid(Builder $query): Builder
    {
        return $query->whereNull('paid_at');
    }

    public function scopeOverdue(Builder $query): Builder
    {
        return $query->whereNull('paid_at')->whereDate('due_on', '<', Carbon::today());
    }

    public function paymentStatus(): PaymentStatus
    {
        return match (true) {
            $this->paid_at !== null => PaymentStatus::Paid,
            $this->due_on->lessThan(Carbon::today()) => PaymentStatus::Overdue,
            default => PaymentStatus::Open,
        };
    }

    public function total(): Money
    {
        return new Money($this->total_cents, $this->currency);
    }

    public function toDocument(): Document
    {
        $seller = config('invoicing.seller');

        return new Document(
            number: $this->number,
            issuedOn: $this->issued_on,
            dueOn: $this->due_on,
            seller: new Party($seller['name'], $seller['email'], $seller['address']),
            buyer: $this->customer->toParty(),
            lines: $this->lines->map(fn (InvoiceLine $line): Line => $line->toLine($this->currency))->values()->all(),
            taxBasisPoints: $this->tax_basis_points,
            currency: $this->currency,
            notes: $this->notes,
        );
    }
}
