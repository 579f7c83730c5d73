<tr data-line>
    <td>
        <input name="lines[{{ $index }}][description]" value="{{ $line['description'] ?? '' }}" maxlength="120"
            placeholder="What was delivered" aria-label="Description" required>
        @include('partials.error', ['field' => "lines.{$index}.description"])
    </td>
    <td>
        <input name="lines[{{ $index }}][quantity]" value="{{ $line['quantity'] ?? '1' }}" type="number" min="1" max="9999"
            aria-label="Quantity" required>
        @include('partials.error', ['field' => "lines.{$index}.quantity"])
    </td>
    <td>
        <input name="lines[{{ $index }}][unit_price]" value="{{ $line['unit_price'] ?? '' }}" inputmode="decimal"
            placeholder="0.00" aria-label="Price" required>
        @include('partials.error', ['field' => "lines.{$index}.unit_price"])
    </td>
    <td class="money" data-line-total>0.00</td>
    <td><button class="remove" type="button" data-remove-line aria-label="Remove this position">×</button></td>
</tr>
