/* What a protocol's test stands on: a scripted model, a parley, and a page of its gateway in Chromium, whose sockets
 * (sockets.js) the test leads. */
import { startModel } from './model.js';
import { BROKEN, browse, serve } from './support.js';

/* Calls and upgrades that are refused are told to the page's console, too. */
const REFUSALS = new RegExp(`${BROKEN.source}|the server responded with a status of 4\\d\\d`);

export async function stage(scripts, settings = {}) {
  const model = await startModel(scripts);
  const parley = await serve({ OPENAI_BASE_URL: model.url, ...settings });
  const browser = await browse(parley.url, REFUSALS);
  const page = await browser.page('/docs'); /* one that opens no socket itself */
  return { model, parley, browser, page };
}
