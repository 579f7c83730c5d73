const INTERVAL_MILLISECONDS = 1500;

/** While an invoice's mail is queued, asks how far it is and updates the badge. */
export function watchDelivery(section) {
    const badge = section.querySelector('.badge');

    async function look() {
        const response = await fetch(section.dataset.delivery, { headers: { Accept: 'application/json' } });
        if (!response.ok) {
            return;
        }
        const delivery = await response.json();
        badge.className = `badge ${delivery.status}`;
        badge.textContent = delivery.label;
        if (delivery.sent_at) {
            section.querySelector('[data-sent-at]').textContent = `, sent ${new Date(delivery.sent_at).toLocaleString()}`;
        }
        if (delivery.status === 'queued') {
            window.setTimeout(look, INTERVAL_MILLISECONDS);
        }
    }

    if (badge.classList.contains('queued')) {
        window.setTimeout(look, INTERVAL_MILLISECONDS);
    }
}
