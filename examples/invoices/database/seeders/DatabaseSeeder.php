<?php

declare(strict_types=1);

namespace Database\Seeders;

use App\Models\Customer;
use Illuminate\Database\Seeder;
use Illuminate\Support\Facades\DB;

/** Fills an empty database and leaves any other alone, so that it may run at every start of the stack. */
final class DatabaseSeeder extends Seeder
{
    public function run(): void
    {
        if (Customer::query()->exists()) {
            return;
        }

        DB::transaction(fn () => $this->call([CustomerSeeder::class, InvoiceSeeder::class]));
    }
}
