/* The chat page in protocols whose rooms keep the answers, and where a conversation ends: nothing twice, nothing mixed,
 * and what is remembered no more is said. */
import assert from 'node:assert/strict';
import { afterEach, before, test } from 'node:test';
import { call, reportResults, say, startModel } from './model.js';
import { connect, eventually, expectCall } from './sockets.js';
import { browse, jsonFile, look, serve } from './support.js';
import { startWire } from './wire.js';

const LONG = Array.from({ length: 60 }, (_, i) => `wörd${i} `);
const WHOLE = LONG.join('').trim();
const PIPELINES = Array.from({ length: 14 }, (_, i) => `11111111-1111-4111-8111-${String(i).padStart(12, '0')}`);
const SHY = '22222222-2222-4222-8222-222222222222'; /* in a group it wants to be asked in another way than this page's */
const unused = [...PIPELINES]; /* what is said in a pipeline stays there */
let model, parley, wire, browser, page;

before(async () => {
  const pipelines = [...PIPELINES.map((uuid) => ({ uuid, name: uuid })), { uuid: SHY, name: 'shy', group: { mention: 'somebody', trigger: 'hey' } }];
  const config = jsonFile('parley.json', { pipelines });
  model = await startModel({
    long: say(LONG, 40), longer: say(LONG, 100), '@websocketbot long': say(LONG, 40), slow: say(['slow ', 'but ', 'sure'], 1500),
    nothing: [say([]), say(['something'])], '@websocketbot quiet': () => {},
    pauses: say(['one ', 'two'], 6000), counts: say(['one ', 'two ', 'three ', 'four ', 'five'], 1000),
    sum: [call('calculator', { expression: '123 + 456' }), reportResults()],
  });
  parley = await serve({ OPENAI_BASE_URL: model.url, PARLEY_CONFIG: config });
  wire = await startWire(parley.url);
  browser = await browse(wire.url);
});
afterEach(() => page?.close());

const connected = () => page.waitForSelector('#connection[data-state="connected"]');
const answers = () => page.locator('.answer .parts').allInnerTexts();
const states = () => page.locator('.answer').evaluateAll((all) => all.map(({ dataset }) => dataset.state));
const kinds = () => page.locator('#log > article').evaluateAll((all) => all.map(({ className }) => className.split(' ')[0]));
const completed = (count = 1) => page.waitForFunction((n) =>
  document.querySelectorAll('.answer[data-state="completed"]').length === n && !document.querySelector('.answer .caret'), count);
const growing = () => page.waitForFunction(() => [...document.querySelectorAll('.answer .parts')].at(-1)?.innerText.includes('wörd5'));

/* A tab of its own, with these settings; `clock`: its time can be told to pass. */
async function open(settings, { clock } = {}) {
  page = await browser.page('/', async (fresh) => {
    if (clock) await fresh.clock.install();
    await fresh.addInitScript((kept) => {
      localStorage.setItem('parley.settings', JSON.stringify(kept));
    }, { language: 'en', ...settings });
  });
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

test('langbot: a server that does not answer keeps nobody waiting', async () => {
  await open({ protocol: 'langbot', pipeline: unused.pop() });
  await ask('hello');
  await completed();
  wire.silence();
  page.once('dialog', (dialog) => dialog.accept());
  await page.click('#new');
  await page.getByText('The server does not answer').waitFor();
  assert.deepEqual(await kinds(), ['question', 'answer']);
  wire.up();
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

// Asks, leaves the page in mid-answer, and comes back when the model has said it all.
async function leaveUntilItEnds() {
  const before = model.asked('long').length;
  await ask('long');
  await growing();
  const address = page.url();
  await page.goto(`${wire.url}/docs`);
  await eventually(() => !model.asked('long')[before].isOpen);
  await page.goto(address);
}

test('langbot: an answer that ended while the page was away is there', async () => {
  await open({ protocol: 'langbot', pipeline: unused.pop() });
  await leaveUntilItEnds();
  await completed();
  assert.deepEqual(await kinds(), ['question', 'answer']);
  assert.deepEqual(await answers(), [WHOLE]);
});

test('minimal: what is not told again is said to be lost', async () => {
  await open({ protocol: 'minimal', user: 'bob' }, { clock: true });
  await leaveUntilItEnds();
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
    const kept = JSON.parse(sessionStorage.getItem('parley.transcript.agent_engine'));
    sessionStorage.setItem('parley.transcript.agent_engine', JSON.stringify({ ...kept, resume: 'a-token-that-nobody-knows' }));
  }));
  await page.reload();
  await connected();
  await page.waitForSelector('.fresh');
  assert.deepEqual((await kinds()).slice(-2), ['answer', 'fresh']);
  await look(page, 'chat-fresh');
});

test('an answer that was given up is told again when the line is back, and all of it is seen', async () => {
  await open({ protocol: 'agent_engine' }, { clock: true });
  await ask('counts');
  await page.waitForFunction(() => document.querySelector('.answer .parts')?.innerText.includes('two'));
  wire.down();
  await page.waitForSelector('#connection[data-state="reconnecting"]');
  while (await page.getAttribute('#connection', 'data-state') !== 'offline') await page.clock.fastForward(4000);
  assert.deepEqual(await states(), ['lost']);
  assert.equal(await page.locator('.caret').count(), 0);
  wire.up();
  await page.click('#connect');
  await completed();
  assert.deepEqual(await answers(), ['one two three four five']);
  assert.equal(model.asked('counts').length, 1, 'the model was asked once');
});

/* …with the drawer. */
async function choose(protocol, more = {}) {
  await page.click('#settings');
  await page.selectOption('[name="protocol"]', protocol);
  for (const [name, value] of Object.entries(more)) await page.fill(`[name="${name}"]`, value);
  const redialled = page.waitForEvent('websocket');
  await page.keyboard.press('Escape');
  await redialled;
}

test('each protocol has its own log, which goes on when one comes back to it', async () => {
  await open({ protocol: 'yychat', conversation: 'of-mira' });
  await ask('I am Mira');
  await completed();
  await choose('agent_engine');
  await connected();
  assert.deepEqual(await kinds(), []);
  await ask('I am Ada');
  await completed();
  await choose('yychat');
  await connected();
  assert.deepEqual(await answers(), ['You said: I am Mira']);
  await ask('who is Mira?');
  await completed(2);
  assert.equal(model.asked('who is Mira?')[0].messages.filter(({ role }) => role === 'user').length, 2);
  await choose('agent_engine');
  await connected();
  await ask('who is Ada?');
  await completed(2);
  assert.equal(model.asked('who is Ada?')[0].messages.filter(({ role }) => role === 'user').length, 2);
  assert.deepEqual(await kinds(), ['question', 'answer', 'question', 'answer']);
});

test('a new conversation changes what names it in its protocol, and nothing else', async () => {
  const before = { language: 'en', conversation: 'of-eve', user: 'eve', pipeline: unused.pop(), sessionType: 'person' };
  for (const [protocol, renewed] of Object.entries({ agent_engine: [], contact: [], langbot: [], yychat: ['conversation'], minimal: ['user'] })) {
    await open({ ...before, protocol });
    await ask('hello');
    await completed();
    page.once('dialog', (dialog) => dialog.accept());
    await page.click('#new');
    await page.waitForSelector('#welcome:not([hidden])');
    await connected();
    const after = await page.evaluate(() => JSON.parse(localStorage.getItem('parley.settings')));
    assert.deepEqual(Object.keys(before).filter((name) => after[name] !== before[name]), renewed, protocol);
    await ask('hello');
    await completed();
    assert.equal(model.asked('hello').at(-1).messages.filter(({ role }) => role === 'user').length, 1, protocol);
    await page.close();
  }
});

test('an answer goes on while another protocol is looked at', async () => {
  await open({ protocol: 'agent_engine' });
  const before = model.asked('longer').length;
  await ask('longer');
  await growing();
  await choose('minimal', { user: 'mira' });
  await connected();
  assert.deepEqual(await kinds(), []);
  assert.equal(await page.locator('#send').getAttribute('aria-label'), 'Send');
  await ask('hello');
  await completed();
  await choose('agent_engine');
  await completed();
  assert.deepEqual(await answers(), [WHOLE]);
  assert.equal(model.asked('longer').length, before + 1, 'the model was asked once');
  assert.doesNotMatch(await page.innerText('#log'), /lost|interrupted/);
});

test('langbot: a pipeline that is none is said so, and not tried again', async () => {
  await open({ protocol: 'langbot', pipeline: unused.pop() });
  await ask('hello');
  await completed();
  await page.waitForFunction(() => !document.querySelector('.toast'));
  const sockets = [];
  page.on('websocket', (socket) => sockets.push(socket.url()));
  await page.evaluate(() => {
    window.toasted = [];
    new MutationObserver((all) => all.forEach(({ addedNodes }) => addedNodes.forEach((one) => window.toasted.push(one.textContent))))
      .observe(document.getElementById('toasts'), { childList: true });
  });
  await choose('langbot', { pipeline: 'no-such-pipeline' });
  await page.waitForSelector('#connection[data-state="offline"]');
  assert.match(await page.innerText('#refusal'), /^There is no such pipeline: enter another in the settings\./);
  assert.deepEqual(await kinds(), [], 'what another session holds');
  await page.waitForTimeout(4000); /* the first try would have been */
  assert.equal(sockets.length, 1);
  assert.deepEqual(await page.evaluate(() => window.toasted), []);
  await look(page, 'chat-no-pipeline');
  await page.click('#refusal button');
  assert.equal(await page.evaluate(() => document.activeElement.name), 'pipeline');
  await page.fill('[name="pipeline"]', unused.pop());
  await page.keyboard.press('Escape');
  await connected();
  assert.equal(await page.isVisible('#refusal'), false);
});

test('an answer that pauses is said to', async () => {
  await open({ protocol: 'agent_engine' }, { clock: true });
  await ask('pauses');
  await page.waitForFunction(() => document.querySelector('.answer .parts')?.innerText.includes('one'));
  await page.clock.fastForward(5100);
  await page.getByText('Waiting for the server…').waitFor();
  await look(page, 'chat-pausing');
  await completed();
  assert.equal(await page.getByText('Waiting for the server…').count(), 0);
  assert.deepEqual(await answers(), ['one two']);
});

for (const protocol of ['agent_engine', 'langbot']) {
  test(`${protocol}: that there is no answer is said, and it can be tried again`, async () => {
    await open({ protocol, pipeline: unused.pop() });
    await ask('nothing');
    await completed();
    assert.equal(await page.innerText('.answer .trouble p'), 'The model gave no answer.');
    assert.equal(await page.textContent('#said'), 'The model gave no answer.');
    await look(page, 'chat-no-answer');
    await page.click('[data-action="again"]');
    await page.waitForSelector('.answer p >> text="something"');
    assert.deepEqual(await kinds(), ['question', 'answer']);
  });
}

test('langbot: an answer of somebody else’s that ends before its first word is no blank', async () => {
  const pipeline = unused.pop();
  await open({ protocol: 'langbot', pipeline, sessionType: 'group' });
  await ask('hello');
  await completed();
  const other = await connect(page, `/api/v1/pipelines/${pipeline}/ws/connect?session_type=group&parley=1`);
  await other.send(question(' quiet', [{ type: 'At', target: 'websocketbot' }]));
  await eventually(() => model.asked('@websocketbot quiet').length);
  await other.send({ type: 'cancel' });
  await completed(2);
  assert.equal(await page.locator('.answer .end').last().innerText(), 'The model gave no answer.');
  assert.equal(await page.locator('[data-action="again"]').count(), 0);
  await reload('group');
  assert.equal(await page.locator('.answer .end').last().innerText(), 'The model gave no answer.');
});

test('langbot: a question that the group alone was shown ends its wait', async () => {
  await open({ protocol: 'langbot', sessionType: 'group', pipeline: SHY });
  await ask('nobody in particular');
  await page.waitForSelector('.answer[data-state="noted"]');
  assert.equal(await page.innerText('.answer .end'), 'Shown to the group; nobody was asked');
  assert.equal(await page.locator('#send').getAttribute('aria-label'), 'Send');
  await ask('again');
  await page.waitForFunction(() => document.querySelectorAll('.answer[data-state="noted"]').length === 2);
  await look(page, 'chat-noted');
  await reload('group');
  assert.deepEqual(await kinds(), ['question', 'answer', 'question', 'answer']);
});
