/* The documentation: it is there, it reads well, and what it links to exists. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { PHONE, WIDE, browse, look, serve } from './support.js';

let parley, browser, page;

before(async () => {
  parley = await serve();
  browser = await browse(parley.url);
  page = await browser.page('/docs');
});

test('it documents all five protocols', async () => {
  const text = await page.innerText('main');
  for (const path of ['/ws/agent', '/ws/chat', '/contact', '/api/v1/pipelines/{uuid}/ws/connect', '/ws/chat/{user_id}', '/ws/statistics'])
    assert.ok(text.includes(path), path);
  await look(page, 'docs');
});

test('its addresses are those of the gateway that it came from', async () => {
  const addresses = await page.locator('.where').allInnerTexts();
  assert.equal(addresses.length, 5);
  for (const address of addresses) assert.ok(address.startsWith(`${parley.socket}/`), address);
});

test('on a phone each cell says what it is, and who speaks is seen', async () => {
  await page.setViewportSize(PHONE);
  await page.locator('#agent-engine').scrollIntoViewIfNeeded();
  const cells = await page.locator('#agent-engine tbody tr:first-child td').evaluateAll((all) => all.map((cell) => ({
    label: getComputedStyle(cell, '::before').content, background: getComputedStyle(cell).backgroundColor,
  })));
  assert.deepEqual(cells.map(({ label }) => label), ['"The client sends"', '"The server answers"']);
  assert.notEqual(cells[0].background, cells[1].background);
  await page.evaluate(() => document.getElementById('agent-engine').scrollIntoView());
  await look(page, 'docs-exchanges');
  await page.setViewportSize(WIDE);
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
    assert.equal(/connect-src 'self' ws: wss: http: https:$/.test(policy), path.includes('test_websocket'), 'only the console reaches others');
  }
});
