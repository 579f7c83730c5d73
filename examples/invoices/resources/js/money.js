// The same rules as Invoices\Renderer\Money: integer cents, shares rounded half up.

/** Cents of `12`, `12.5` or `12,50`; 0 for anything else. */
export function parseCents(text) {
    const parts = /^(\d{1,7})(?:[.,](\d{1,2}))?$/.exec(text.trim());

    return parts ? Number(parts[1]) * 100 + Number((parts[2] ?? '').padEnd(2, '0')) : 0;
}

export function share(cents, basisPoints) {
    return Math.floor((cents * basisPoints + 5000) / 10000);
}

export function formatCents(cents) {
    const units = Math.floor(cents / 100).toLocaleString('en-US');

    return `${units}.${String(cents % 100).padStart(2, '0')}`;
}
