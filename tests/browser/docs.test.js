/* The documentation: it is there, it reads well, and what it links to exists. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { browse, look, serve } from './support.js';

let parley, browser, page;

before(async () => {
  parley = await serve();
  browser = await browse(parley.url);
  page = await browser.page('/docs');
});
after(async () => {
  await browser?.stop();
  await parley?.stop();
});

test('it documents all five protocols', async () => {
  const text = await page.innerText('main');
  for (const path of ['/ws/agent', '/ws/chat', '/contact', '/api/v1/pipelines/{uuid}/ws/connect', '/ws/chat/{user_id}', '/ws/statistics'])
    assert.ok(text.includes(path), path);
  await look(page, 'docs');
});

test('its links lead somewhere', async () => {
  const links = await page.locator('a').evaluateAll((all) => all.map((one) => one.href));
  for (const link of new Set(links)) {
    const { hash, pathname } = new URL(link);
    if (hash) assert.equal(await page.locator(hash).count(), 1, hash);
    else assert.equal((await fetch(`${parley.url}${pathname}`)).status, 200, link);
  }
});

test('every page has a strict policy', async () => {
  for (const path of ['/', '/docs', '/static/test_websocket.html']) {
    const policy = (await fetch(parley.url + path)).headers.get('content-security-policy');
    assert.match(policy, /default-src 'self'/);
    assert.doesNotMatch(policy, /unsafe/);
  }
});
