/* The console: what passes is seen, in a page of the gateway's and in the single file that is opened from a disk. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, test } from 'node:test';
import { BROKEN, BUILD, PHONE, WIDE, browse, look, serve } from './support.js';
import { startWire } from './wire.js';

/* Connections that are meant to fail, and the statistics of servers elsewhere: asked for again and again, and refused. */
const EXPECTED = new RegExp(`${BROKEN.source}|ERR_FAILED|asks http:.*/ws/stat|/ws/statistics' from origin .* blocked by CORS`);
let parley, wire, browser, page;

before(async () => {
  parley = await serve({ DEMO_TOKENS_PER_SECOND: 100, WS_ALLOWED_ORIGINS: '127.0.0.1,null' });
  wire = await startWire(parley.url);
  browser = await browse(parley.url, EXPECTED);
  page = await browser.page('/static/test_websocket.html');
});

const row = (type) => page.locator(`#list [data-type="${type}"]`).last();
const quick = (name) => page.click(`#quick >> text="${name}"`);

const words = () => page.innerText('#connection-words');

async function connect(address) {
  if (address) await page.fill('#address', address);
  await page.click('#connect');
  await page.waitForSelector('#connection[data-state="connected"]');
}

test('at first it is not connected, which is no fault', async () => {
  assert.equal(await words(), 'Not connected');
  assert.equal(await page.getAttribute('#connection', 'data-state'), 'idle');
  await look(page, 'console-idle');
});

test('it connects as clients in the field do, and shows the state', async () => {
  assert.equal(await page.inputValue('#address'), `${parley.socket}/ws/agent`);
  await connect();
  await row('connected').waitFor();
  assert.equal(await words(), 'Connected');
});

test('a ping is answered', async () => {
  await quick('Ping');
  await row('pong').waitFor();
  assert.match(await row('ping').innerText(), /↑/);
  assert.equal(await row('session').count(), 0, 'without the extension');
});

test('a stream is seen frame by frame, counted and measured, and the statistics move', async () => {
  const messages = () => page.locator('#statistics dd').nth(2).innerText().then((text) => Number(text.replaceAll(',', '')));
  await page.waitForFunction(() => /\d/.test(document.querySelector('#statistics dd').textContent));
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

test('all of it is in the window, and the newest frame is seen', async () => {
  for (const height of [800, 900]) {
    await page.setViewportSize({ width: WIDE.width, height });
    await quick('Stream');
    await page.waitForFunction((n) => document.querySelectorAll('#list details').length > n + 60, await page.locator('#list details').count());
    for (const place of ['#list', '#answer', '#statistics', '#rate', '#quick']) {
      const box = await page.locator(place).boundingBox();
      assert.ok(box.y > 0 && box.y + box.height <= height, `${place} ends at ${box.y + box.height} of ${height}`);
    }
    const [end, newest] = await page.evaluate(() => ['#list', '#list details:last-child']
      .map((place) => document.querySelector(place).getBoundingClientRect().bottom));
    assert.ok(newest <= end + 1, 'the newest is seen');
  }
  await page.setViewportSize(PHONE);
  assert.ok((await page.locator('#list').boundingBox()).y < PHONE.height * 0.75);
  await page.setViewportSize(WIDE);
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

test('the columns of the list are straight, whatever a type is called', async () => {
  const type = 'contact_request_received, and more besides';
  await page.fill('#frame', JSON.stringify({ type, data: 'x'.repeat(200000) }));
  await page.click('#send');
  await row(type).waitFor();
  await page.waitForFunction(() => document.querySelector('#list details:last-child').dataset.type === 'error');
  const columns = await page.locator('#list summary').evaluateAll((rows) => rows.map((one) => [...one.children]
    .map((cell) => Math.round(cell.getBoundingClientRect().right)).join()));
  assert.equal(new Set(columns).size, 1, [...new Set(columns)].join('\n'));
  const fits = await row(type).locator('.size, .since').evaluateAll((cells) => cells.every((cell) => cell.scrollWidth <= cell.clientWidth));
  assert.ok(fits, 'the size has room');
  await row(type).scrollIntoViewIfNeeded();
  await look(page, 'console-long-type');
});

test('frames are filtered, paused, saved and cleared', async () => {
  await page.selectOption('#filter', 'pong');
  const pongs = await page.locator('#list [data-type="pong"]').count(); /* the page pings by itself, too */
  assert.ok(pongs > 0 && pongs <= await page.locator('#list details:visible').count());
  assert.equal(await page.locator('#list details:visible:not([data-type="pong"])').count(), 0);
  await page.selectOption('#filter', '');
  const shown = await page.locator('#list details').count();
  await page.click('#pause');
  const sent = Number(await page.innerText('#sent'));
  await quick('Ping');
  await page.waitForFunction((n) => Number(document.getElementById('sent').textContent) > n, sent);
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

test('while the list is paused the counters go on', async () => {
  const rows = await page.locator('#list details').count();
  await page.click('#pause');
  await quick('Stream');
  await page.waitForFunction(() => Number(document.getElementById('received').textContent.replaceAll(',', '')) > 50);
  assert.equal(await page.locator('#list details').count(), rows);
  await page.click('#pause');
  await page.waitForFunction((n) => document.querySelectorAll('#list details').length > n + 50, rows);
  await quick('Cancel');
  await row('cancelled').waitFor();
  await page.click('#clear');
});

test('the other protocols have addresses and messages of their own', async () => {
  for (const [protocol, path] of Object.entries({ yychat: '/ws/chat', contact: '/contact', minimal: '/ws/chat/guest' })) {
    await page.selectOption('#protocol', protocol);
    assert.equal(await page.inputValue('#address'), `${parley.socket}${path}`);
    JSON.parse(await page.inputValue('#frame'));
  }
  await page.selectOption('#protocol', 'langbot');
  assert.match(await page.inputValue('#address'), /\/api\/v1\/pipelines\/[-0-9a-f]{36}\/ws\/connect\?session_type=person$/);
  await page.selectOption('#protocol', 'agent_engine');
  assert.equal(await page.inputValue('#address'), `${parley.socket}/ws/agent`);
});

test('an answer in one piece has its first word at its end', async () => {
  await page.click('#connect');
  await page.selectOption('#protocol', 'contact');
  await connect();
  assert.equal(await page.innerText('#first'), '–');
  await page.click('#send');
  await row('chat_message').and(page.locator('[data-direction="in"]')).waitFor();
  await page.waitForFunction(() => document.getElementById('answer').textContent.includes('Hello'));
  assert.match(await page.innerText('#first'), /^\d+(\.\d)? m?s$/);
  await page.click('#connect');
  await page.selectOption('#protocol', 'agent_engine');
  await page.click('#clear');
});

test('the extension is a tick, and a part of the address', async () => {
  await page.check('#extension');
  assert.equal(await page.inputValue('#address'), `${parley.socket}/ws/agent?parley=1`);
  await connect();
  await row('session').waitFor();
  await page.uncheck('#extension');
  assert.equal(await page.inputValue('#address'), `${parley.socket}/ws/agent`);
  assert.equal(await words(), 'Not connected');
  await page.fill('#address', `${parley.socket}/ws/agent?parley=1`);
  assert.equal(await page.isChecked('#extension'), true);
  await page.uncheck('#extension');
});

test('a server elsewhere can be reached; its statistics are its own pages’', async () => {
  for (const address of [wire.url, wire.url.replace('127.0.0.1', 'localhost')]) {
    await connect(`${address.replace(/^http/, 'ws')}/ws/agent`);
    await quick('Ping');
    await row('pong').waitFor();
    await page.waitForFunction(() => /may not read/.test(document.getElementById('statistics-note').textContent));
    await page.click('#connect');
    await page.click('#clear');
  }
});

test('why a connection failed is said, and an address that is none', async () => {
  for (const [address, why] of [
    ['hello world', /“hello world” is no WebSocket address/], ['http://127.0.0.1/', /no WebSocket address/], ['', /no WebSocket address/],
  ]) {
    await page.fill('#address', address);
    await page.click('#connect');
    assert.match(await page.innerText('#reason'), why);
    assert.equal(await page.getAttribute('#address', 'aria-invalid'), 'true');
    assert.equal(await words(), 'Not connected');
  }
  await look(page, 'console-bad-address');
  wire.down();
  for (const [address, why] of [
    [`${wire.url.replace(/^http/, 'ws')}/ws/agent`, /^Nobody answers at 127\.0\.0\.1:\d+$/], [`${parley.socket}/nothing`, /there is none at \/nothing/],
  ]) {
    await page.fill('#address', address);
    await page.click('#connect');
    await page.waitForSelector('#connection[data-state="offline"]');
    await page.waitForFunction((source) => new RegExp(source).test(document.getElementById('reason').textContent), why.source);
    assert.equal(await words(), 'Offline');
    assert.equal(await page.innerText('#connect'), 'Connect');
  }
  await look(page, 'console-failed');
  await page.fill('#address', `${parley.socket}/ws/agent`);
});

test('what is lost is said, and an end is no fault', async () => {
  await connect();
  await parley.tell('stop gateway');
  await page.waitForSelector('#connection[data-state="reconnecting"]');
  assert.match(await words(), /attempt 1 of 5/);
  await look(page, 'console-reconnecting');
  await page.click('#connect');
  assert.equal(await words(), 'Not connected');
  await look(page, 'console-ended');
  await parley.tell('start gateway');
});

test('the single file works from the gateway and from a disk', async () => {
  for (const address of ['/test/websocket_test.html', `file://${join(BUILD, 'services/gateway/websocket_test.html')}`]) {
    page = await browser.page(address);
    if (address.startsWith('file:')) assert.equal(await page.inputValue('#address'), 'ws://127.0.0.1:8003/ws/agent');
    await connect(`${parley.socket}/ws/agent`);
    await quick('Calculator');
    await row('tool_result').waitFor();
    await look(page, address.startsWith('file:') ? 'console-file' : 'console-single');
  }
  /* From a disk the statistics may not be asked for, and the page says so. */
  assert.match(await page.innerText('#statistics-note'), /may not read/);
});
