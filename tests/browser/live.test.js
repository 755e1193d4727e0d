/* parley.js in Chromium against a real gateway, over a line that breaks: all five protocols. With scripted frames it is
 * parley.test.js's. */
import assert from 'node:assert/strict';
import { afterEach, before, test } from 'node:test';
import { call, contents, refuse, reportResults, say, startModel } from './model.js';
import { eventually, exact, expectCall, isIso, isSeconds, isText, isUuid } from './sockets.js';
import { browse, serve } from './support.js';
import { startWire } from './wire.js';

const LONG = Array.from({ length: 60 }, (_, i) => `wörd${i} `);
const PROTOCOLS = ['agent_engine', 'yychat', 'contact', 'langbot', 'minimal'];
const RESUMING = ['agent_engine', 'yychat', 'contact']; /* in the others the room keeps the answers */
const WHOLE = ['contact']; /* answers come in one piece */
const PIPELINE = '11111111-1111-4111-8111-111111111111';
let model, parley, wire, browser, page;

before(async () => {
  model = await startModel({
    sum: [call('calculator', { expression: '123 + 456' }), reportResults()], fails: refuse(400, 'out of order'),
    endless: say(Array(3000).fill('word '), 10),
    ...Object.fromEntries([...PROTOCOLS, 'crash'].map((name) => [`long ${name}`, say(LONG, 25)])),
  });
  parley = await serve({ OPENAI_BASE_URL: model.url });
  wire = await startWire(parley.url);
  browser = await browse(wire.url);
  page = await browser.page('/docs'); /* one that opens no socket itself */
});
afterEach(() => page.evaluate(() => window.chat?.close()));

/* In the page: `chat` is connected, and all that it tells is noted. */
async function connect(options) {
  await page.evaluate(async (given) => {
    const { connect: open } = await import('/static/parley.js');
    window.told = [];
    window.broadcasts = [];
    window.states = [];
    window.frames = [];
    window.chat = open({
      delay: 50, conversation: `of ${given.protocol}`, user: `user of ${given.protocol}`, ...given,
      onMessage: (message) => window.told.push(message),
      onBroadcast: (message) => window.broadcasts.push(message),
      onState: (state) => window.states.push(state),
      onFrame: (frame) => window.frames.push(frame),
    });
  }, options);
  await until(() => window.states.at(-1).state === 'connected');
}

const until = (condition, argument) => page.waitForFunction(condition, argument, { polling: 20 });
const told = () => page.evaluate(() => window.told.filter(({ type }) => type !== 'session' && type !== 'asked'));
const states = () => page.evaluate(() => window.states.map(({ state, attempt }) => `${state} ${attempt}`));
const reconnected = (times = 1) => until((n) => window.states.filter(({ state }) => state === 'connected').length > n, times);

/* Asks; from now on only what is told of this is noted. */
const put = (text, options) => page.evaluate(([question, more]) => {
  window.told = [];
  if (!window.chat.send(question, more)) throw new Error('not sent');
}, [text, options]);

/* …and waits for the end: all that was told. */
async function ask(text, options) {
  await put(text, options);
  await ended();
  return told();
}

const ended = () => until(() => window.told.some(({ type }) => ['completed', 'failed', 'cancelled'].includes(type)));
const types = (messages) => messages.map(({ type }) => type);

/* One whole answer: begun, its text growing, its end. */
function checkAnswer(messages, text) {
  assert.deepEqual([messages[0].type, messages.at(-1).type, messages.at(-1).text], ['started', 'completed', text]);
  let all = '';
  for (const { type, text: soFar, delta } of messages.slice(1, -1)) {
    if (type === 'tool') continue;
    assert.equal(type, 'text');
    all += delta;
    assert.equal(soFar, all);
  }
  assert.ok(text.startsWith(all));
}

for (const protocol of PROTOCOLS) {
  test(`${protocol}: questions, tool steps, a failure`, async () => {
    await connect({ protocol });
    checkAnswer(await ask('hello 🙂'), 'You said: hello 🙂');
    const messages = await ask('sum');
    checkAnswer(messages, 'It is 579.');
    const [running, done] = messages.filter(({ type }) => type === 'tool');
    exact(running, { type: 'tool', id: isText, name: 'calculator', status: 'running', arguments: { expression: '123 + 456' } });
    exact(done, { type: 'tool', id: running.id, name: 'calculator', status: 'done', result: 579 });
    const failed = await ask('fails');
    if (protocol === 'contact') assert.match(failed.at(-1).text, /^抱歉/);
    else assert.match(failed.at(-1).error, /out of order/);
    checkAnswer(await ask('whole', { stream: false }), 'You said: whole');
    assert.deepEqual(await states(), ['connecting 0', 'connected 0']);
  });

  test(`${protocol}: a cancel stops the answer, once`, async () => {
    await connect({ protocol });
    const before = model.asked('endless').length;
    await put('endless');
    await until((type) => window.told.some((message) => message.type === type), WHOLE.includes(protocol) ? 'started' : 'text');
    await eventually(() => model.asked('endless')[before]);
    assert.equal(await page.evaluate(() => window.chat.cancel()), true);
    await ended();
    checkAnswer(await ask('and on'), 'You said: and on');
    const all = await page.evaluate(() => window.frames.filter(({ frame }) => frame?.type === 'cancelled').map(({ frame }) => frame));
    exact(all.filter(({ timestamp }) => timestamp), [{ type: 'cancelled', timestamp: isSeconds }]);
    await eventually(() => !model.asked('endless')[before].isOpen);
  });

  test(`${protocol}: the conversation goes on over a line that broke`, async () => {
    await connect({ protocol });
    await ask(`I am Ada of ${protocol}`);
    wire.cut();
    await reconnected();
    checkAnswer(await ask(`who of ${protocol}?`), `You said: who of ${protocol}?`);
    assert.deepEqual(contents(model.asked(`who of ${protocol}?`)[0]).slice(-3),
      [`I am Ada of ${protocol}`, `You said: I am Ada of ${protocol}`, `who of ${protocol}?`]);
    assert.deepEqual(await states(), ['connecting 0', 'connected 0', 'reconnecting 1', 'reconnecting 1', 'connected 1']);
  });
}

for (const protocol of RESUMING) {
  test(`${protocol}: an answer goes on where the line broke, twice`, async () => {
    await connect({ protocol });
    const question = `long ${protocol}`;
    await put(question);
    for (const times of [1, 2]) {
      if (WHOLE.includes(protocol)) await eventually(() => model.asked(question).length);
      else await until((n) => (window.told.at(-1)?.text || '').length > n * 80, times);
      wire.cut();
      await reconnected(times);
    }
    await ended();
    checkAnswer(await told(), LONG.join(''));
    assert.equal(model.asked(question).length, 1, 'the model was asked once');
    checkAnswer(await ask('next'), 'You said: next');
  });
}

for (const protocol of PROTOCOLS.filter((one) => !RESUMING.includes(one))) {
  test(`${protocol}: a question is given up with its line; its room then tells the answer from the beginning`, async () => {
    await connect({ protocol });
    await put(`long ${protocol}`);
    await until(() => (window.told.at(-1)?.text || '').length > 80);
    await page.evaluate(() => { window.told = []; });
    wire.cut();
    await ended();
    assert.deepEqual(await told(), [{ type: 'failed', error: 'the connection was lost', lost: true }]);
    await until(() => window.told.at(-1).type === 'completed');
    checkAnswer((await told()).slice(1), LONG.join(''));
    checkAnswer(await ask('next'), 'You said: next');
  });
}

test('an end that was received is not told again', async () => {
  await connect({ protocol: 'agent_engine' });
  for (let i = 1; i <= 5; i++) {
    checkAnswer(await ask(`short ${i}`), `You said: short ${i}`);
    wire.cut();
    await reconnected(i);
    checkAnswer(await ask(`next ${i}`), `You said: next ${i}`);
  }
});

test('the conversation and the answer go on over a gateway that died', async () => {
  await connect({ protocol: 'agent_engine', delay: 300, tries: 20 });
  await ask('I am Ada, and stay');
  await put('long crash');
  await until(() => (window.told.at(-1)?.text || '').length > 80);
  await parley.tell('stop gateway');
  await parley.tell('start gateway');
  await ended();
  checkAnswer(await told(), LONG.join(''));
  await ask('who stays?');
  assert.deepEqual(contents(model.asked('who stays?')[0]),
    ['I am Ada, and stay', 'You said: I am Ada, and stay', 'long crash', LONG.join(''), 'who stays?']);
});

test('broadcasts', async () => {
  const heard = () => page.evaluate(() => window.broadcasts);
  await connect({ protocol: 'contact' });
  await ask('hello');
  await expectCall(page, 'POST', '/api/v1/contacts/broadcast', { message: '我在 🙂' }, 200, { status: 'sent' });
  await until(() => window.broadcasts.length);
  assert.deepEqual(await heard(), [{ type: 'broadcast', message: '我在 🙂' }]);
  checkAnswer(await ask('hello again'), 'You said: hello again');
  await page.evaluate(() => window.chat.close());
  await connect({ protocol: 'langbot' });
  const message = { any: ['thing', 1] };
  await expectCall(page, 'POST', `/api/v1/pipelines/${PIPELINE}/ws/broadcast`, { message }, 200, { code: 0, msg: 'ok', data: { message: isText } });
  await until(() => window.broadcasts.length);
  assert.deepEqual(await heard(), [{ type: 'broadcast', message }]);
});

test('langbot: who asked is told, and a group is asked by a mention', async () => {
  await connect({ protocol: 'langbot', sessionType: 'group' });
  checkAnswer(await ask('anybody?'), 'You said: @websocketbot anybody?');
  const [asked] = await page.evaluate(() => window.told.filter(({ type }) => type === 'asked'));
  exact(asked, { type: 'asked', text: '@websocketbot anybody?', own: true, id: 1 });
  await page.evaluate(() => window.chat.sendChain([{ type: 'Plain', text: 'nobody in particular' }]));
  await until(() => window.told.at(-1).type === 'noted');
  const { frame } = await page.evaluate(() => window.frames.find(({ frame: { type } }) => type === 'connected'));
  exact(frame, { type: 'connected', connection_id: isUuid, pipeline_uuid: PIPELINE, session_type: 'group', timestamp: isIso });
});

test('five tries, each later than the one before, then it is offline; open() tries again', async () => {
  await connect({ protocol: 'yychat', delay: 60 });
  const begun = Date.now();
  wire.down();
  await until(() => window.states.at(-1).state === 'offline');
  assert.ok(Date.now() - begun > 0.8 * 60 * (1 + 2 + 3 + 4 + 5));
  assert.deepEqual(await states(), ['connecting 0', 'connected 0',
    ...[1, 2, 3, 4, 5].flatMap((attempt) => Array(2).fill(`reconnecting ${attempt}`)), 'offline 5']);
  exact(await page.evaluate(() => window.states.at(-1)), { state: 'offline', attempt: 5, tries: 5, reason: 'code 1006' });
  assert.equal(await page.evaluate(() => window.chat.send('nobody there')), false);
  wire.up();
  await page.evaluate(() => window.chat.open());
  await until(() => window.states.at(-1).state === 'connected');
  checkAnswer(await ask('hello'), 'You said: hello');
  await page.evaluate(() => window.chat.close());
  exact((await page.evaluate(() => window.states.at(-1))), { state: 'offline', attempt: 0, tries: 5, reason: 'closed' });
});

test('it pings, and leaves a line on which nothing comes any more', async () => {
  await connect({ protocol: 'contact', pingEvery: 150 });
  await until(() => window.frames.filter(({ frame }) => frame.type === 'pong').length > 2);
  assert.deepEqual(await states(), ['connecting 0', 'connected 0']);
  wire.silence();
  await until(() => window.states.at(-1).reason === 'no answer to a ping');
  wire.up();
  await reconnected();
  checkAnswer(await ask('hello'), 'You said: hello');
});
