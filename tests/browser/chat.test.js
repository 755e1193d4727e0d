/* The chat page, in every state that a person can meet, with a real parley and its demo model behind it. */
import assert from 'node:assert/strict';
import { gzipSync } from 'node:zlib';
import { before, beforeEach, test } from 'node:test';
import { browse, look, serve } from './support.js';

/* These take some seconds, and longer than any test. */
const LONG = 'Write 600 words about rivers and bridges';
const ENDLESS = 'Write 5000 words about rivers and bridges';
let parley, browser, page;

before(async () => {
  parley = await serve({ DEMO_TOKENS_PER_SECOND: 150 });
  browser = await browse(parley.url);
});
beforeEach(async () => {
  await page?.close();
  page = await browser.page('/');
  await connected();
});

const connected = () => page.waitForSelector('#connection[data-state="connected"]');
const answer = (state) => page.locator(`.answer[data-state="${state}"]`).last();

async function ask(text) {
  await page.fill('#question', text);
  await page.keyboard.press('Enter');
}

/* Nothing floats over the page any more. */
const quiet = () => page.waitForFunction(() => !document.querySelector('.toast'));

async function answered(text) {
  const before = await page.locator('.answer[data-state="completed"]').count();
  await ask(text);
  await page.waitForFunction((n) => document.querySelectorAll('.answer[data-state="completed"]').length > n, before);
  return answer('completed').locator('.parts').innerText();
}

test('empty at first: what this is, and four things to try', async () => {
  assert.equal(await page.locator('.idea').count(), 4);
  assert.match(await page.textContent('#welcome'), /parley/);
  assert.match(await page.locator('#toasts').textContent(), /Connected/);
  await look(page, 'chat-empty');
});

test('an answer appears as it comes, and can be copied', async () => {
  await quiet();
  await ask(LONG);
  await page.waitForFunction(() => document.querySelector('.answer .caret') && document.querySelector('.answer .parts').innerText.length > 700);
  assert.equal(await page.getAttribute('#send', 'aria-label'), 'Stop the answer');
  const early = (await page.innerText('.answer .parts')).length;
  await page.fill('#question', 'typed meanwhile');
  await look(page, 'chat-streaming');
  await answer('completed').waitFor();
  assert.ok((await page.innerText('.answer .parts')).length > early);
  assert.equal(await page.locator('.caret').count(), 0);
  assert.equal(await page.inputValue('#question'), 'typed meanwhile');
  assert.equal(await page.getAttribute('.answer', 'aria-busy'), 'false');
  assert.ok((await page.textContent('#said')).length > early, 'a screen reader is told the whole answer');
  await browser.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.click('[data-action="copy"]');
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /\w/);
});

test('a tool step stands where it happened, with arguments and result', async () => {
  await quiet();
  const text = await answered('What is 123 + 456?');
  assert.match(text, /579/);
  const step = page.locator('.tool[data-status="done"]');
  assert.match(await step.locator('summary').innerText(), /calculator/);
  await step.locator('summary').click();
  assert.match(await step.locator('.details').innerText(), /123 \+ 456[\s\S]*579/);
  await look(page, 'chat-tool');
});

test('Esc stops an answer, and what waited comes back to the composer', async () => {
  await ask(ENDLESS);
  await page.waitForSelector('.answer .caret');
  await ask('a second question');
  await page.waitForSelector('.question.queued');
  await look(page, 'chat-queued');
  await page.keyboard.press('Escape');
  await answer('cancelled').waitFor();
  assert.equal(await page.inputValue('#question'), 'a second question');
  assert.equal(await page.locator('.question').count(), 1);
  assert.match(await answer('cancelled').innerText(), /Stopped/);
  await look(page, 'chat-stopped');
  assert.match(await answered('Hello!'), /Hello/);
});

test('a question asked meanwhile is answered next, and the conversation is remembered', async () => {
  await ask('My name is Ada.');
  await ask('What is my name?');
  await page.waitForFunction(() => document.querySelectorAll('.answer[data-state="completed"]').length === 2);
  assert.match(await answer('completed').innerText(), /Ada/);
  const order = await page.locator('#log > article').evaluateAll((all) => all.map((one) => one.className.split(' ')[0]));
  assert.deepEqual(order, ['question', 'answer', 'question', 'answer']);
});

test('a failed answer says what happened, and can be tried again', async () => {
  await parley.tell('stop demo-model');
  await ask('Hello!');
  await answer('failed').waitFor();
  const said = await answer('failed').locator('.trouble p').innerText();
  assert.match(said, /^This did not work: .*[.!?]$/);
  await look(page, 'chat-failed');
  await parley.tell('start demo-model');
  await page.click('[data-action="again"]');
  await answer('completed').waitFor();
  assert.equal(await page.locator('.question').count(), 1);
  assert.equal(await page.locator('.answer').count(), 1);
});

test('the page follows the text only while the reader is at the end', async () => {
  await page.setViewportSize({ width: 900, height: 420 });
  await ask(ENDLESS);
  await page.waitForFunction(() => document.getElementById('scroll').scrollTop > 120);
  await page.locator('#scroll').hover();
  await page.mouse.wheel(0, -1500);
  await page.waitForSelector('#latest:not([hidden])');
  const length = (await page.innerText('.answer .parts')).length;
  await page.waitForFunction((n) => document.querySelector('.answer .parts').innerText.length > n + 200, length);
  assert.ok(await page.evaluate(() => document.getElementById('scroll').scrollTop < 100), 'it stayed where the reader was');
  await page.click('#latest');
  await page.waitForSelector('#latest', { state: 'hidden' });
  await page.keyboard.press('Escape');
  await answer('cancelled').waitFor();
});

test('history is there after a reload, in mid-answer too', async () => {
  await answered('Hello!');
  await ask(LONG);
  await page.waitForSelector('.answer .caret');
  const had = await page.locator('.answer .parts').last().innerText();
  await page.reload();
  await connected();
  assert.equal(await page.locator('.question').count(), 2);
  const now = await page.locator('.answer .parts').last().innerText();
  assert.ok(now.startsWith(had.trimEnd().slice(0, 20)));
  /* Where the gateway can resume, the answer goes on; where not, the page says that it was interrupted. */
  await page.waitForSelector('.answer[data-state="completed"]:last-of-type, .answer[data-state="interrupted"]');
  if (await answer('interrupted').count()) {
    assert.match(await answer('interrupted').locator('.trouble').innerText(), /interrupted/);
    await look(page, 'chat-interrupted');
    await page.click('[data-action="again"]');
  }
  await answer('completed').waitFor();
});

test('the connection is shown in words while it is lost, and comes back', async () => {
  await page.close();
  page = await browser.page('/', (fresh) => fresh.clock.install());
  await connected();
  await answered('Hello!');
  await parley.tell('stop gateway');
  await page.waitForSelector('#connection[data-state="reconnecting"]');
  assert.equal(await page.innerText('#connection-words'), 'Reconnecting (attempt 1 of 5)');
  assert.match(await page.textContent('#toasts'), /lost/);
  await look(page, 'chat-reconnecting');
  for (let i = 0; i < 100 && await page.getAttribute('#connection', 'data-state') !== 'offline'; i++) await page.clock.fastForward(4000);
  assert.equal(await page.innerText('#connection-words'), 'Offline');
  await ask('Is anybody there?');
  assert.equal(await page.inputValue('#question'), 'Is anybody there?', 'what was written is kept');
  await look(page, 'chat-offline');
  await parley.tell('start gateway');
  await page.click('#connect');
  await connected();
  assert.match(await answered('Hello!'), /Hello/);
});

test('settings: the language, the colours and the protocol are remembered', async () => {
  await page.click('#settings');
  await page.waitForSelector('#drawer[open]');
  await look(page, 'chat-settings');
  await page.selectOption('[name="language"]', 'zh');
  assert.equal(await page.textContent('#drawer-title'), '设置');
  await page.keyboard.press('Escape');
  await page.waitForSelector('#drawer', { state: 'hidden' });
  await page.click('[data-theme-switch]');
  await page.reload();
  await connected();
  assert.equal(await page.getAttribute('html', 'data-theme'), 'dark');
  assert.equal(await page.getAttribute('html', 'lang'), 'zh');
  assert.equal(await page.textContent('#connection-words'), '已连接');
  await look(page, 'chat-chinese');
  await page.click('[data-theme-switch]');
  await page.click('#settings');
  await page.selectOption('[name="language"]', 'en');
  await page.selectOption('[name="protocol"]', 'langbot');
  assert.ok(await page.isVisible('[name="pipeline"]'));
  await page.selectOption('[name="protocol"]', 'agent_engine');
  await page.keyboard.press('Escape');
  await connected();
});

test('half a character is taken, and a question that is too long is not sent', async () => {
  await answered('a\ud800b');
  const long = 'é'.repeat(600000);
  await ask(long);
  await page.waitForFunction(() => /^Too long by 1\d{5} bytes: a message may have 1048576$/.test(document.querySelector('#toasts').lastChild?.textContent));
  assert.equal(await page.inputValue('#question'), long);
  assert.equal(await page.locator('.question').count(), 1);
  await page.fill('#question', '');
  assert.match(await answered('Hello!'), /Hello/);
});

test('it works by keyboard alone', async () => {
  assert.equal(await page.evaluate(() => document.activeElement.id), 'question');
  await page.keyboard.type('Hello!');
  await page.keyboard.press('Shift+Enter');
  await page.keyboard.type('And again.');
  assert.equal(await page.inputValue('#question'), 'Hello!\nAnd again.');
  await page.keyboard.press('Enter');
  await answer('completed').waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.id), 'question');
  await page.focus('#new');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  await page.waitForSelector('#drawer[open]');
  await page.keyboard.press('Escape');
  await page.waitForSelector('#drawer', { state: 'hidden' });
  assert.equal(await page.evaluate(() => document.activeElement.id), 'settings');
});

test('the composer grows to eight lines, on the narrowest phone too', async () => {
  await page.setViewportSize({ width: 360, height: 640 });
  const heights = [];
  for (const lines of [1, 3, 8, 20]) {
    await page.fill('#question', Array(lines).fill('a line').join('\n'));
    heights.push((await page.locator('#question').boundingBox()).height);
  }
  assert.ok(heights[0] < heights[1] && heights[1] < heights[2]);
  assert.equal(heights[2], heights[3]);
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= 360));
});

test('a new conversation begins with nothing', async () => {
  await answered('My name is Ada.');
  await page.click('#new');
  await connected();
  assert.equal(await page.locator('#log > *').count(), 0);
  assert.doesNotMatch(await answered('What is my name?'), /Ada/);
});

/* A file of the page's, with all that it names: { path: compressed bytes }. */
async function sizes(path, known = {}) {
  const text = await (await fetch(parley.url + path)).text();
  known[path] = gzipSync(text).length;
  const names = [...text.matchAll(/(?:src="|from '|rel="(?:icon|stylesheet)" href=")([^"':]+)["']/g)].map((match) => match[1]);
  for (const name of names) {
    const { pathname } = new URL(name, parley.url + path);
    if (!(pathname in known) && !path.endsWith('/libraries.js')) await sizes(pathname, known);
  }
  return known;
}

test('all of it is under 150 KB compressed', async () => {
  const known = await sizes('/');
  for (const name of ['libraries.js', 'parley.js', 'markdown.js', 'parley.css']) assert.ok(known[`/static/${name}`], name);
  const all = Object.values(known).reduce((sum, size) => sum + size, 0);
  assert.ok(all < 150 * 1024, `${all} bytes`);
});
