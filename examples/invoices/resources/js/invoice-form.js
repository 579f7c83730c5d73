import { formatCents, parseCents, share } from './money.js';

/** Adds and removes positions of the invoice form, and shows its totals while they are typed. */
export function startInvoiceForm(form) {
    const lines = form.querySelector('[data-lines]');
    const template = form.querySelector('[data-line-template]');
    let nextIndex = lines.children.length;

    function showTotals() {
        let net = 0;
        for (const line of lines.querySelectorAll('[data-line]')) {
            const quantity = Number.parseInt(line.querySelector('[name$="[quantity]"]').value, 10) || 0;
            const total = quantity * parseCents(line.querySelector('[name$="[unit_price]"]').value);
            line.querySelector('[data-line-total]').textContent = formatCents(total);
            net += total;
        }
        const tax = share(net, Number(form.querySelector('[data-tax]').value));
        form.querySelector('[data-net]').textContent = formatCents(net);
        form.querySelector('[data-tax-total]').textContent = formatCents(tax);
        form.querySelector('[data-total]').textContent = formatCents(net + tax);
    }

    function addLine() {
        // Indexes are never reused: after a removal the server receives gaps, which it accepts.
        lines.insertAdjacentHTML('beforeend', template.innerHTML.replaceAll('__index__', String(nextIndex)));
        nextIndex += 1;
        lines.lastElementChild.querySelector('input').focus();
    }

    form.querySelector('[data-add-line]').addEventListener('click', addLine);
    form.addEventListener('input', showTotals);
    form.addEventListener('click', (event) => {
        if (event.target.closest('[data-remove-line]') && lines.children.length > 1) {
            event.target.closest('[data-line]').remove();
            showTotals();
        }
    });
    showTotals();
}
