<?php

declare(strict_types=1);

namespace Database\Seeders;

use App\Models\Customer;
use Illuminate\Database\Seeder;

final class CustomerSeeder extends Seeder
{
    private const CUSTOMERS = [
        ['Aurora Coffee Roasters', 'accounts@aurora-coffee.example', 'Hafenstraße 8', '20457 Hamburg', 'Germany'],
        ['Brückner & Söhne', 'rechnung@brueckner.example', 'Am Markt 3', '04109 Leipzig', 'Germany'],
        ['Cobalt Cycles', 'finance@cobalt-cycles.example', 'Keizersgracht 210', '1016 DX Amsterdam', 'Netherlands'],
        ['Delta Film Lab', 'office@delta-film.example', '14 Rue du Temple', '75004 Paris', 'France'],
        ['Evergreen Nursery', 'billing@evergreen.example', 'Gartenweg 27', '80331 München', 'Germany'],
        ['Fjord Analytics', 'invoices@fjord.example', 'Storgata 5', '0155 Oslo', 'Norway'],
    ];

    public function run(): void
    {
        foreach (self::CUSTOMERS as $values) {
            Customer::query()->create(array_combine(['name', 'email', 'street', 'city', 'country'], $values));
        }
    }
}
