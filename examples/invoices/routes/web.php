<?php

declare(strict_types=1);

use App\Http\Controllers\InvoiceController;
use App\Http\Controllers\InvoiceDeliveryController;
use App\Http\Controllers\InvoicePaymentController;
use App\Http\Controllers\InvoicePdfController;
use Illuminate\Support\Facades\Route;

Route::redirect('/', '/invoices');

Route::resource('invoices', InvoiceController::class)->only(['index', 'create', 'store', 'show']);

Route::prefix('invoices/{invoice}')->name('invoices.')->group(function (): void {
    Route::post('payment', [InvoicePaymentController::class, 'store'])->name('payment.store');
    Route::delete('payment', [InvoicePaymentController::class, 'destroy'])->name('payment.destroy');
    Route::get('delivery', [InvoiceDeliveryController::class, 'show'])->name('delivery.show');
    Route::post('delivery', [InvoiceDeliveryController::class, 'store'])->name('delivery.store');
    Route::get('pdf', InvoicePdfController::class)->name('pdf');
});
