import '../css/app.css';
import { watchDelivery } from './delivery.js';
import { startInvoiceForm } from './invoice-form.js';

for (const form of document.querySelectorAll('[data-invoice-form]')) {
    startInvoiceForm(form);
}

for (const section of document.querySelectorAll('[data-delivery]')) {
    watchDelivery(section);
}
