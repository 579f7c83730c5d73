<?php

declare(strict_types=1);

use Illuminate\Database\Migrations\Migration;
use Illuminate\Database\Schema\Blueprint;
use Illuminate\Support\Facades\Schema;

return new class () extends Migration {
    public function up(): void
    {
        Schema::create('invoice_counters', function (Blueprint $table): void {
            $table->unsignedSmallInteger('year')->primary();
            $table->unsignedInteger('last');
        });

        Schema::create('invoices', function (Blueprint $table): void {
            $table->id();
            $table->string('number')->unique();
            $table->foreignId('customer_id')->constrained();
            $table->date('issued_on');
            $table->date('due_on')->index();
            $table->char('currency', 3);
            $table->unsignedSmallInteger('tax_basis_points');
            $table->bigInteger('total_cents');
            $table->text('notes')->nullable();
            $table->timestamp('paid_at')->nullable();
            $table->string('delivery_status', 16);
            $table->timestamp('sent_at')->nullable();
            $table->text('delivery_error')->nullable();
            $table->timestamps();
        });

        Schema::create('invoice_lines', function (Blueprint $table): void {
            $table->id();
            $table->foreignId('invoice_id')->constrained()->cascadeOnDelete();
            $table->unsignedSmallInteger('position');
            $table->string('description');
            $table->unsignedInteger('quantity');
            $table->bigInteger('unit_price_cents');
            $table->unique(['invoice_id', 'position']);
        });
    }

    public function down(): void
    {
        Schema::dropIfExists('invoice_lines');
        Schema::dropIfExists('invoices');
        Schema::dropIfExists('invoice_counters');
    }
};
