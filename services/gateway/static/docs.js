/* The documentation names the gateway that it came from. */
import { Connection } from './parley.js';

const gateway = new Connection().options.url.replace(/\/$/, '');
for (const place of document.querySelectorAll('[data-gateway]')) place.textContent = gateway;
