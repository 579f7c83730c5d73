<?php

declare(strict_types=1);

namespace App\Models;

use Illuminate\Database\Eloquent\Model;
use Illuminate\Database\Eloquent\Relations\HasMany;
use Invoices\Renderer\Party;

final class Customer extends Model
{
    protected $fillable = ['name', 'email', 'street', 'city', 'country'];

    public function invoices(): HasMany
    {
        return $this->hasMany(Invoice::class);
    }

    public function toParty(): Party
    {
        return new Party($this->name, $this->email, [$this->street, $this->city, $this->country]);
    }
}
