<?php

declare(strict_types=1);

namespace App\Http\Requests;

use App\Invoicing\InvoiceDraft;
use Illuminate\Foundation\Http\FormRequest;
use Illuminate\Support\Carbon;
use Illuminate\Validation\Rule;
use Invoices\Renderer\Line;
use Invoices\Renderer\Money;

final class StoreInvoiceRequest extends FormRequest
{
    /** @return array<string, list<mixed>> */
    public function rules(): array
    {
        return [
            'customer_id' => ['bail', 'required', 'integer', 'exists:customers,id'],
            'issued_on' => ['bail', 'required', 'date_format:Y-m-d'],
            'due_on' => ['bail', 'required', 'date_format:Y-m-d', 'after_or_equal:issued_on'],
            'tax_basis_points' => ['bail', 'required', 'integer', Rule::in(config('invoicing.tax_rates'))],
            'notes' => ['nullable', 'string', 'max:500'],
            'lines' => ['bail', 'required', 'array', 'min:1', 'max:50'],
            'lines.*.description' => ['bail', 'required', 'string', 'max:120'],
            'lines.*.quantity' => ['bail', 'required', 'integer', 'between:1,9999'],
            'lines.*.unit_price' => ['bail', 'required', 'string', 'regex:/^\d{1,7}([.,]\d{1,2})?$/'],
        ];
    }

    /** @return array<string, string> */
    public function attributes(): array
    {
        return [
            'customer_id' => 'customer',
            'issued_on' => 'issue date',
            'due_on' => 'due date',
            'tax_basis_points' => 'tax rate',
            'lines' => 'positions',
            'lines.*.description' => 'description',
            'lines.*.quantity' => 'quantity',
            'lines.*.unit_price' => 'price',
        ];
    }

    /** @return array<string, string> */
    public function messages(): array
    {
        return ['lines.*.unit_price.regex' => 'The price must be an amount like 12 or 12.50.'];
    }

    public function draft(): InvoiceDraft
    {
        $input = $this->validated();

        return new InvoiceDraft(
            customerId: (int) $input['customer_id'],
            issuedOn: Carbon::parse($input['issued_on']),
            dueOn: Carbon::parse($input['due_on']),
            taxBasisPoints: (int) $input['tax_basis_points'],
            lines: array_map(
                static fn (array $line): Line => new Line(
                    $line['description'],
                    (int) $line['quantity'],
                    Money::parse($line['unit_price']),
                ),
                array_values($input['lines']),
            ),
            notes: $input['notes'] ?? null,
        );
    }
}
