/* The chat page in protocols whose rooms keep the answers, and where a conversation ends: nothing twice, nothing mixed,
 * and what is remembered no more is said. */
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { call, reportResults, say, startModel } from './model.js';
import { connect, eventually, expectCall } from './sockets.js';
import { browse, look, serve } from './support.js';
import { startWire } from './wire.js';

const LONG = Array.from({ length: 60 }, (_, i) => `wörd${i} `);
const WHOLE = LONG.join('').trim();
const PIPELINES = Array.from({ length: 6 }, (_, i) => `11111111-1111-4111-8111-00000000000${i}`);
const unused = [...PIPELINES]; /* what is said in a pipeline stays there */
let model, parley, wire, browser, page, directory;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), 'parley-rooms-'));
  const config = join(directory, 'parley.json');
  writeFileSync(config, JSON.stringify({ pipelines: PIPELINES.map((uuid) => ({ uuid, name: uuid })) }));
  model = await startModel({
    long: say(LONG, 40), longer: say(LONG, 100), '@websocketbot long': say(LONG, 40), slow: say(['slow ', 'but ', 'sure'], 1500),
    sum: [call('calculator', { expression: '123 + 456' }), reportResults()],
  });
  parley = await serve({ OPENAI_BASE_URL: model.url, PARLEY_CONFIG: config });
  wire = await startWire(parley.url);
  browser = await browse(wire.url);
});
after(async () => {
  try {
    await browser?.stop();
  } finally { /* or this process would not end */
    wire?.stop();
    await parley?.stop();
    model?.stop();
    rmSync(directory, { recursive: true, force: true });
  }
});
afterEach(() => page?.close());

const connected = () => page.waitForSelector('#connection[data-state="connected"]');
const answers = () => page.locator('.answer .parts').allInnerTexts();
const states = () => page.locator('.answer').evaluateAll((all) => all.map(({ dataset }) => dataset.state));
const kinds = () => page.locator('#log > article').evaluateAll((all) => all.map(({ className }) => className.split(' ')[0]));
const completed = (count = 1) => page.waitForFunction((n) =>
  document.querySelectorAll('.answer[data-state="completed"]').length === n && !document.querySelector('.answer .caret'), count);
const growing = () => page.waitForFunction(() => [...document.querySelectorAll('.answer .parts')].at(-1)?.innerText.includes('wörd5'));

/* A tab of its own, with these settings. */
async function open(settings) {
  page = await browser.page('/', (fresh) => fresh.addInitScript((kept) => {
    localStorage.setItem('parley.settings', JSON.stringify(kept));
  }, { language: 'en', ...settings }));
  await connected();
}

async function ask(text) {
  await page.fill('#question', text);
  await page.keyboard.press('Enter');
}

/* …until the history has been read again. */
async function reload(session) {
  const read = page.waitForEvent('requestfinished', (request) => request.url().endsWith(`messages/${session}`));
  await page.reload();
  await read;
  await connected();
}

const member = (pipeline, session) => connect(page, `/api/v1/pipelines/${pipeline}/ws/connect?session_type=${session}`);
const question = (text, mention = []) => ({ type: 'message', message: [...mention, { type: 'Plain', text }] });

test('langbot: what the session holds is there in a new tab, and after a reload', async () => {
  const pipeline = unused.pop();
  await open({ protocol: 'langbot', pipeline });
  await ask('I am Ada');
  await completed();
  await page.close();
  await open({ protocol: 'langbot', pipeline });
  await page.waitForSelector('.answer');
  assert.deepEqual(await kinds(), ['question', 'answer']);
  assert.deepEqual(await page.locator('.question .bubble').allInnerTexts(), ['I am Ada']);
  assert.deepEqual(await answers(), ['You said: I am Ada']);
  await ask('sum');
  await completed(2);
  await reload('person');
  assert.deepEqual(await kinds(), ['question', 'answer', 'question', 'answer']);
  assert.equal(await page.locator('.tool').count(), 1, 'a step that the history knows nothing of stays');
  await ask('and on');
  await completed(3);
  assert.deepEqual(await answers().then((texts) => texts.at(-1)), 'You said: and on');
});

test('langbot: a new conversation begins the session anew, if that is meant', async () => {
  const pipeline = unused.pop();
  await open({ protocol: 'langbot', pipeline });
  await ask('I am Ada');
  await completed();
  page.once('dialog', (dialog) => dialog.dismiss());
  await page.click('#new');
  assert.deepEqual(await kinds(), ['question', 'answer']);
  page.once('dialog', (dialog) => dialog.accept());
  await page.click('#new');
  await page.waitForSelector('#welcome:not([hidden])');
  await connected();
  await ask('who am I?');
  await completed();
  assert.deepEqual(await answers(), ['You said: who am I?']);
});

test('langbot: answers side by side have a bubble each, and a mention stands apart', async () => {
  const pipeline = unused.pop();
  await open({ protocol: 'langbot', pipeline, sessionType: 'group' });
  const other = await member(pipeline, 'group');
  await ask('long');
  await growing();
  await other.send(question(' another', [{ type: 'At', target: 'websocketbot' }]));
  await completed(2);
  assert.deepEqual(await kinds(), ['question', 'answer', 'other', 'answer']);
  assert.deepEqual(await answers(), [WHOLE, 'You said: @websocketbot another']);
  assert.equal(model.asked('@websocketbot long').length, 1);
  await look(page, 'chat-group');
  await reload('group');
  assert.deepEqual(await kinds(), ['question', 'answer', 'other', 'answer']);
});

for (const [protocol, more] of [['langbot', () => ({ pipeline: unused.pop() })], ['minimal', () => ({ user: 'ada' })]]) {
  test(`${protocol}: an answer goes on over a reload and over a line that broke`, async () => {
    const before = model.asked('longer').length;
    await open({ protocol, ...more() });
    await ask('longer');
    await growing();
    await page.reload();
    await connected();
    await growing();
    assert.equal((await answers()).length, 1);
    wire.cut();
    await page.waitForSelector('#connection[data-state="reconnecting"]');
    assert.deepEqual(await states(), ['waiting']);
    await completed();
    assert.deepEqual(await kinds(), ['question', 'answer']);
    assert.deepEqual(await answers(), [WHOLE]);
    assert.equal(model.asked('longer').length, before + 1, 'the model was asked once');
    await ask('next');
    await completed(2);
    assert.deepEqual(await answers(), [WHOLE, 'You said: next']);
  });
}

test('langbot: an answer that ended while the page was away is there', async () => {
  const before = model.asked('long').length;
  await open({ protocol: 'langbot', pipeline: unused.pop() });
  await ask('long');
  await growing();
  const address = page.url();
  await page.goto(`${wire.url}/docs`);
  await eventually(() => !model.asked('long')[before].isOpen);
  await page.goto(address);
  await completed();
  assert.deepEqual(await kinds(), ['question', 'answer']);
  assert.deepEqual(await answers(), [WHOLE]);
});

test('minimal: what is not told again is said to be lost', async () => {
  const before = model.asked('long').length;
  page = await browser.page('/', async (fresh) => {
    await fresh.clock.install();
    await fresh.addInitScript(() => {
      localStorage.setItem('parley.settings', JSON.stringify({ language: 'en', protocol: 'minimal', user: 'bob' }));
    });
  });
  await connected();
  await ask('long');
  await growing();
  const address = page.url();
  await page.goto(`${wire.url}/docs`);
  await eventually(() => !model.asked('long')[before].isOpen);
  await page.goto(address);
  await connected();
  assert.deepEqual(await states(), ['waiting']);
  await page.clock.fastForward(11000);
  await page.waitForSelector('.answer[data-state="interrupted"]');
  await page.click('[data-action="again"]');
  await completed();
  assert.deepEqual(await answers(), [WHOLE]);
});

test('contact: the owner’s broadcast is a notice, while an answer is waited for too', async () => {
  await open({ protocol: 'contact' });
  await ask('slow');
  await eventually(() => model.asked('slow').length);
  await expectCall(page, 'POST', '/api/v1/contacts/broadcast', { message: 'we close at noon' }, 200, { status: 'sent' });
  await page.waitForSelector('.operator');
  assert.equal(await page.innerText('.operator .bubble'), 'we close at noon');
  await completed();
  assert.deepEqual(await answers(), ['slow but sure']);
  await look(page, 'chat-operator');
});

test('agent engine: that the conversation begins anew is said where it does, and nowhere else', async () => {
  await open({ protocol: 'agent_engine' });
  await ask('I am Ada');
  await completed();
  await page.reload();
  await connected();
  await ask('who am I?');
  await completed(2);
  wire.cut();
  await page.waitForSelector('#connection[data-state="reconnecting"]');
  await connected();
  await ask('still there?');
  await completed(3);
  assert.equal(await page.locator('.fresh').count(), 0);
  assert.equal(model.asked('still there?')[0].messages.filter(({ role }) => role === 'user').length, 3);
  await page.evaluate(() => addEventListener('pagehide', () => {
    const kept = JSON.parse(sessionStorage.getItem('parley.transcript'));
    sessionStorage.setItem('parley.transcript', JSON.stringify({ ...kept, resume: 'a-token-that-nobody-knows' }));
  }));
  await page.reload();
  await connected();
  await page.waitForSelector('.fresh');
  assert.deepEqual((await kinds()).slice(-2), ['answer', 'fresh']);
  await look(page, 'chat-fresh');
});

test('a token of another protocol is not taken along', async () => {
  await open({ protocol: 'agent_engine' });
  await ask('hello');
  await completed();
  await page.click('#settings');
  await page.selectOption('[name="protocol"]', 'minimal');
  await page.keyboard.press('Escape');
  await connected();
  await page.waitForFunction(() => {
    const kept = JSON.parse(sessionStorage.getItem('parley.transcript'));
    return kept && kept.resume === undefined;
  });
  await ask('long');
  await growing();
  await completed(2);
  assert.deepEqual(await answers(), ['You said: hello', WHOLE]);
});
