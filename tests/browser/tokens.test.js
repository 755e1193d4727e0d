/* Who may come in, from a browser: it can give a WebSocket a token by the address alone, and a call by a header too. */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { before, test } from 'node:test';
import { connect, exact, isText, request, startsWith } from './sockets.js';
import { stage } from './stage.js';
import { jsonFile, look } from './support.js';
import { startWire } from './wire.js';

const PIPELINE = '/api/v1/pipelines/11111111-1111-4111-8111-111111111111/ws';
const WELCOMES = {
  '/ws/agent': 'connected', '/ws/chat': 'connection_established', '/contact': 'connection_established', [`${PIPELINE}/connect`]: 'connected',
};
const [OWNER, USER, STRANGER] = ['owner-secret', 'user-secret', 'nobody-knows-it'];
const entry = (token, user, roles) => ({ sha256: createHash('sha256').update(token).digest('hex'), user, roles });
let on;
const refusals = [];

before(async () => {
  const file = jsonFile('tokens.json', { tokens: [entry(OWNER, 'ada', ['owner']), entry(USER, 'bob', [])] });
  on = await stage({}, { TOKENS_FILE: file, HOST: '127.0.0.1', WS_MAX_CONNECTIONS: 20 });
  on.page.on('console', (message) => refusals.push(message.text()));
});

/* The script is told 1006 and no more; only the browser's console has the status. */
async function expectRefused(path, status) {
  refusals.length = 0;
  await (await connect(on.page, path)).expectClose(1006);
  assert.match(refusals.join(), status === 401 ? /HTTP Authentication failed/ : new RegExp(`Unexpected response code: ${status}`), path);
}

test('a socket needs a token that is known', async () => {
  for (const [path, type] of Object.entries(WELCOMES)) {
    await expectRefused(path, 401);
    await expectRefused(`${path}?token=${STRANGER}`, 401);
    const client = await connect(on.page, `${path}?token=${USER}`);
    assert.equal((await client.receive()).type, type);
    await client.close();
  }
});

test('minimal: the token may come with the question, and a user is nobody else', async () => {
  await expectRefused(`/ws/chat/bob?token=${STRANGER}`, 401);
  await expectRefused(`/ws/chat/bob?token=${OWNER}`, 403);
  const client = await connect(on.page, '/ws/chat/bob');
  for (const token of [undefined, STRANGER, OWNER]) {
    await client.send({ query: 'hello', token });
    await client.expect({ type: 'error', content: startsWith('处理出错: ') });
  }
  await client.send({ query: 'hello', token: USER });
  await client.expect({ type: 'status', status: 'thinking', data: { message: '正在思考...' } });
  const frames = await client.collect('chunk');
  assert.equal(frames.slice(0, -1).map(({ content }) => content).join(''), 'You said: hello');
  await client.close();
});

test('calls over HTTP: every user, or the owner alone', async () => {
  const body = JSON.stringify({ message: 'x' });
  for (const [method, path, owners, failure] of [
    ['GET', '/ws/status', false, { status: 'error', message: isText }], ['GET', '/ws/handlers', false, { status: 'error', message: isText }],
    ['GET', '/ws/statistics', true, { error: isText }], ['GET', '/api/v1/contacts', true, { error: isText }],
    ['POST', '/api/v1/contacts/broadcast', true, { error: isText }], ['GET', `${PIPELINE}/messages/person`, false, { code: -1, msg: isText }],
    ['POST', `${PIPELINE}/reset/person`, true, { code: -1, msg: isText }], ['GET', `${PIPELINE}/connections`, true, { code: -1, msg: isText }],
    ['POST', `${PIPELINE}/broadcast`, true, { code: -1, msg: isText }],
  ]) {
    const call = (headers, argument = '') => request(on.page, method, path + argument, method === 'POST' ? body : undefined, headers);
    for (const response of [await call(), await call({ Authorization: `Bearer ${STRANGER}` }), await call({}, `?token=${STRANGER}`)])
      exact(response, { status: 401, type: 'application/json', body: failure }, path);
    for (const response of [await call({ Authorization: `Bearer ${USER}` }), await call({}, `?token=${USER}`)]) {
      if (owners) exact(response, { status: 403, type: 'application/json', body: failure }, path);
      else assert.equal(response.status, 200, path);
    }
    assert.equal((await call({ Authorization: `Bearer ${OWNER}` })).status, 200, path);
  }
});

test('parley.js brings its token along', async () => {
  for (const protocol of ['agent_engine', 'yychat', 'contact', 'langbot', 'minimal']) {
    const end = await on.page.evaluate(async ([name, token]) => {
      const { connect: open } = await import('/static/parley.js');
      let chat;
      const message = await new Promise((resolve) => {
        chat = open({
          protocol: name, token, user: 'bob', tries: 0,
          onState({ state, reason }) {
            if (state === 'connected') chat.send('hello');
            if (state === 'offline') resolve({ reason });
          },
          onMessage: (told) => ['completed', 'failed'].includes(told.type) && resolve(told),
        });
      });
      chat.close();
      return message;
    }, [protocol, USER]);
    assert.equal(end.text, 'You said: hello', JSON.stringify(end));
  }
});

/* The console, which is told of a refusal only by what it asks besides. */
async function consoleSays(page, address, place, pattern) {
  await page.fill('#address', address);
  await page.click('#connect');
  await page.waitForFunction(([id, source]) => new RegExp(source).test(document.getElementById(id).textContent), [place, pattern.source]);
}

test('the console brings its token along to the statistics, and says what refuses it', async () => {
  const page = await on.browser.page('/static/test_websocket.html');
  const address = `${on.parley.socket}/ws/agent`;
  await consoleSays(page, address, 'reason', /wants a token that it knows \(401\)/);
  await consoleSays(page, `${address}?token=${USER}`, 'statistics-note', /403: it wants the owner’s token/);
  assert.equal(await page.locator('#statistics dd').first().innerText(), '–');
  await page.click('#connect');
  await consoleSays(page, `${address}?token=${OWNER}`, 'statistics-note', /^\/ws\/statistics$/);
  assert.equal(await page.locator('#statistics dd').first().innerText(), '1');
  await page.click('#connect');
  const wire = await startWire(on.parley.url);
  await consoleSays(page, `${wire.url.replace(/^http/, 'ws')}/ws/agent?token=${OWNER}`, 'reason', /may not connect to it \(WS_ALLOWED_ORIGINS\)/);
  wire.stop();
  on.browser.troubles.length = 0; /* it asked elsewhere */
  await page.close();
});

test('the chat page says that a token is needed, and takes it', async () => {
  const page = await on.browser.page('/');
  const says = (text) => page.waitForFunction((said) => document.querySelector('#refusal:not([hidden]) p')?.textContent === said, text);
  const connected = () => page.waitForSelector('#connection[data-state="connected"]');
  const set = async (name, value) => {
    if (!await page.isVisible('#drawer')) await page.click('#settings');
    if (name === 'protocol') await page.selectOption('[name="protocol"]', value);
    else await page.fill(`[name="${name}"]`, value);
    await page.keyboard.press('Escape');
  };
  await says('This server asks for a token: enter it in the settings.');
  assert.equal(await page.getAttribute('#connection', 'data-state'), 'offline');
  await look(page, 'chat-needs-token');
  await page.click('#refusal button');
  assert.equal(await page.evaluate(() => document.activeElement.name), 'token');
  await set('token', STRANGER);
  await says('This server does not know this token: enter another in the settings.');
  await set('token', USER);
  await connected();
  assert.equal(await page.isVisible('#refusal'), false);
  await page.fill('#question', 'hello');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.answer[data-state="completed"]');
  await page.reload();
  await connected();
  await set('protocol', 'minimal');
  await says(await page.evaluate(() => `The token is not this user’s (“${JSON.parse(localStorage.getItem('parley.settings')).user}”): change the user or the token in the settings.`));
  await look(page, 'chat-other-user');
  await page.click('#refusal button');
  assert.equal(await page.evaluate(() => document.activeElement.name), 'user');
  await set('user', 'bob');
  await connected();
  await page.fill('#question', 'hello');
  await page.keyboard.press('Enter');
  await page.waitForSelector('.answer[data-state="completed"]');
  await page.waitForFunction(() => !document.querySelector('.toast'));
  await page.click('#new');
  await page.getByText('This can’t begin anew: the user is the conversation, and the token is this user’s alone').waitFor();
  await look(page, 'chat-one-conversation');
  await page.reload();
  await connected();
  assert.equal(await page.locator('.answer[data-state="completed"]').count(), 1);
  assert.equal(await page.evaluate(() => JSON.parse(localStorage.getItem('parley.settings')).user), 'bob');
  await set('token', '');
  await says('This server asks for a token: enter it in the settings.');
  await page.close();
});

test('Enter in a field of the settings closes them, and they hold', async () => {
  const page = await on.browser.page('/', (fresh) => fresh.addInitScript(() => {
    localStorage.setItem('parley.settings', '{"language":"en","protocol":"minimal","user":"ada"}');
  }));
  const says = (pattern) => page.waitForFunction((source) => new RegExp(source).test(document.querySelector('#refusal:not([hidden]) p')?.textContent), pattern.source);
  const enter = async (name, value) => {
    await page.click('#refusal button');
    await page.locator(`[name="${name}"]`).selectText();
    await page.keyboard.type(value);
    await page.keyboard.press('Enter');
    await page.waitForSelector('#drawer', { state: 'hidden' });
  };
  await says(/^This server asks for a token/);
  await enter('token', USER);
  await says(/^The token is not this user’s \(“ada”\)/);
  await enter('user', 'bob');
  await page.waitForSelector('#connection[data-state="connected"]');
  assert.equal(await page.isVisible('#refusal'), false);
  await page.close();
});

test('above the limit of connections nobody may connect', async () => {
  const address = `/ws/agent?token=${USER}`;
  const clients = [];
  for (let i = 0; i < 20; i++) {
    clients.push(await connect(on.page, address));
    assert.equal((await clients.at(-1).receive()).type, 'connected');
  }
  await expectRefused(address, 503);
  for (const client of clients) await client.close();
});
