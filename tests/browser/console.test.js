/* The console: what passes is seen, in a page of the gateway's and in the single file that is opened from a disk. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { BUILD, browse, look, serve } from './support.js';

let parley, browser, page;

before(async () => {
  parley = await serve({ DEMO_TOKENS_PER_SECOND: 100 });
  browser = await browse(parley.url);
  page = await browser.page('/static/test_websocket.html');
});
after(async () => {
  await browser?.stop();
  await parley?.stop();
});

const row = (type) => page.locator(`#list [data-type="${type}"]`).last();
const quick = (name) => page.click(`#quick >> text="${name}"`);

test('it connects, and shows the address and the state', async () => {
  assert.equal(await page.inputValue('#address'), `${parley.socket}/ws/agent?parley=1`);
  await look(page, 'console-idle');
  await page.click('#connect');
  await page.waitForSelector('#connection[data-state="connected"]');
  await row('connected').waitFor();
});

test('a ping is answered', async () => {
  await quick('Ping');
  await row('pong').waitFor();
  assert.match(await row('ping').innerText(), /↑/);
});

test('a stream is seen frame by frame, counted and measured, and the statistics move', async () => {
  const messages = () => page.locator('#statistics dd').nth(2).innerText().then((text) => Number(text.replaceAll(',', '')));
  await page.waitForSelector('#statistics dd');
  const earlier = await messages();
  await quick('Stream');
  await page.waitForFunction(() => Number(document.getElementById('rate').textContent) > 5);
  await look(page, 'console-streaming');
  await row('stream_end').waitFor();
  assert.match(await page.innerText('#first'), /\d+(\.\d)? m?s/);
  assert.ok((await page.innerText('#answer')).length > 100);
  assert.ok(Number((await page.innerText('#received')).replaceAll(',', '')) > 20);
  assert.match(await row('stream_chunk').innerText(), /\+\d+ ms/);
  await page.waitForFunction((n) => Number(document.querySelectorAll('#statistics dd')[2].textContent.replaceAll(',', '')) > n + 20, earlier);
  assert.match(await page.getAttribute('#spark path', 'd'), /^M0 .*L120 /);
});

test('the calculator gives a number', async () => {
  await quick('Calculator');
  await row('tool_result').waitFor();
  await row('tool_result').locator('summary').click();
  assert.equal(JSON.parse(await row('tool_result').locator('pre').innerText()).result, 579);
});

test('a cancel ends a stream', async () => {
  await page.fill('#frame', JSON.stringify({ type: 'streaming_query', query: 'Write 5000 words about trees' }));
  await page.click('#send');
  await row('stream_start').waitFor();
  await quick('Cancel');
  await row('cancelled').waitFor();
});

test('bad JSON gets an error, and the connection stays', async () => {
  await quick('Bad JSON');
  await row('error').waitFor();
  assert.match(await row('error').innerText(), /Invalid JSON format/);
  assert.equal(await page.getAttribute('#connection', 'data-state'), 'connected');
  await page.fill('#frame', '{"type": ');
  assert.match(await page.innerText('#validity'), /^Not JSON/);
  await look(page, 'console-error');
  await page.selectOption('#kind', 'agent_query');
  assert.equal(await page.innerText('#validity'), 'Valid JSON');
});

test('frames are filtered, paused, saved and cleared', async () => {
  await page.selectOption('#filter', 'pong');
  assert.equal(await page.locator('#list details:visible').count(), 1);
  await page.selectOption('#filter', '');
  const shown = await page.locator('#list details').count();
  await page.click('#pause');
  await quick('Ping');
  await page.waitForFunction((n) => Number(document.getElementById('sent').textContent) === n, 1 + Number(await page.innerText('#sent')))
    .catch(() => {});
  assert.equal(await page.locator('#list details').count(), shown);
  await page.click('#pause');
  await page.waitForFunction((n) => document.querySelectorAll('#list details').length >= n + 2, shown);
  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#save')]);
  const lines = readFileSync(await download.path(), 'utf8').trim().split('\n').map((line) => JSON.parse(line));
  assert.equal(lines[0].frame.type, 'connected');
  assert.ok(lines.every((line) => ['in', 'out'].includes(line.direction)));
  await page.click('#clear');
  assert.equal(await page.locator('#list details').count(), 0);
  assert.equal(await page.innerText('#received'), '0');
});

test('the other protocols have addresses and messages of their own', async () => {
  for (const [protocol, path] of Object.entries({ yychat: '/ws/chat', contact: '/contact', minimal: '/ws/chat/guest' })) {
    await page.selectOption('#protocol', protocol);
    assert.equal(await page.inputValue('#address'), `${parley.socket}${path}?parley=1`);
    JSON.parse(await page.inputValue('#frame'));
  }
  await page.selectOption('#protocol', 'langbot');
  assert.match(await page.inputValue('#address'), /\/api\/v1\/pipelines\/[-0-9a-f]{36}\/ws\/connect\?session_type=person/);
  await page.selectOption('#protocol', 'agent_engine');
  assert.equal(await page.inputValue('#address'), `${parley.socket}/ws/agent?parley=1`);
});

test('what is lost is said, and an address that is none, too', async () => {
  await page.click('#connect');
  await page.waitForSelector('#connection[data-state="connected"]');
  await parley.tell('stop gateway');
  await page.waitForSelector('#connection[data-state="reconnecting"]');
  assert.match(await page.innerText('#connection-words'), /attempt 1 of 5/);
  await look(page, 'console-reconnecting');
  await page.click('#connect');
  assert.equal(await page.innerText('#connection-words'), 'Offline');
  await look(page, 'console-offline');
  await parley.tell('start gateway');
  await page.fill('#address', 'nonsense');
  await page.click('#connect');
  assert.ok((await page.innerText('#reason')).length > 10);
});

test('the single file works from the gateway and from a disk', async () => {
  for (const address of ['/test/websocket_test.html', `file://${join(BUILD, 'services/gateway/websocket_test.html')}`]) {
    page = await browser.page(address);
    if (address.startsWith('file:')) assert.equal(await page.inputValue('#address'), 'ws://127.0.0.1:8003/ws/agent?parley=1');
    await page.fill('#address', `${parley.socket}/ws/agent?parley=1`);
    await page.click('#connect');
    await page.waitForSelector('#connection[data-state="connected"]');
    await quick('Calculator');
    await row('tool_result').waitFor();
    await look(page, address.startsWith('file:') ? 'console-file' : 'console-single');
  }
  /* From a disk the statistics may not be asked for, and the page says so. */
  assert.match(await page.innerText('#statistics-note'), /may not ask/);
  const expected = browser.troubles.filter((trouble) => !/ws\/statistics|ERR_FAILED/.test(trouble));
  browser.troubles.splice(0, browser.troubles.length, ...expected);
});
