/* The contact form's documented client and its owner's page, step by step, with Chromium's own WebSocket and fetch.
 * Section 2 of the protocols. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { before, test } from 'node:test';
import { call, contents, refuse, reportResults, say } from './model.js';
import { connect, eventually, exact, expectCall, isCount, isIso, isUuid } from './sockets.js';
import { stage } from './stage.js';
import { atEnd, jsonFile } from './support.js';

const APOLOGY = '抱歉，我暂时无法处理您的请求，请稍后再试。';
const PATH = '/contact';
const NOW = '2025-01-01T12:00:00.000Z';
const CONTACTS = '/api/v1/contacts';
const BROADCAST = `${CONTACTS}/broadcast`;
let on, webhook;
const posted = [];

before(async () => {
  webhook = createServer(async (incoming, response) => {
    let body = '';
    for await (const piece of incoming) body += piece;
    posted.push(JSON.parse(body));
    response.writeHead(204).end();
  });
  await new Promise((resolve) => { webhook.listen(0, '127.0.0.1', resolve); });
  atEnd(() => {
    webhook.close();
    webhook.closeAllConnections();
  });
  const url = `http://127.0.0.1:${webhook.address().port}/hook`;
  const config = jsonFile('parley.json', { pipelines: [{ uuid: 'a', name: 'A' }], contact: { webhook: url } });
  on = await stage({
    在吗: say(['在', '的。'], 20), sum: [call('calculator', { expression: '123 + 456' }, 'A moment. '), reportResults()],
    fails: refuse(400, 'out of order'), slow: say(['slow ', 'answer'], 300),
  }, { PARLEY_CONFIG: config });
});

async function welcomed(path = PATH) {
  const client = await connect(on.page, path);
  const welcome = { type: 'connection_established', message: 'WebSocket连接已建立', client_id: isUuid, timestamp: isIso };
  client.id = (await client.expect(welcome)).client_id;
  return client;
}

const say_ = (client, message, more = {}) => client.send({ type: 'chat_message', message, ...more });
const expectReceived = (client) => client.expect({ type: 'chat_message_received', message: '消息已收到', message_id: isUuid, timestamp: isIso });
const expectAnswer = (client, message) => client.expect({ type: 'chat_message', message, sender: 'assistant', timestamp: isIso });
const expectError = (client, message) => client.expect({ type: 'error', message, timestamp: isIso });

async function expectPong(client) {
  await client.send({ type: 'ping' });
  await client.expect({ type: 'pong', timestamp: isIso });
}

async function answered(client, question, answer, more) {
  await say_(client, question, more);
  await expectReceived(client);
  await expectAnswer(client, answer);
}

async function requested(client, message, more = {}) {
  await client.send({ type: 'contact_request', message, ...more });
  const { request_id } = await client.expect({
    type: 'contact_request_received', message: '联系请求已收到，博主将尽快回复您', request_id: isUuid, timestamp: isIso, status: 'received',
  });
  return request_id;
}

const isTextOrNull = (value) => value === null || typeof value === 'string';

async function listed(query = '') {
  const isPage = (contacts) => {
    for (const contact of contacts)
      exact(contact, {
        number: isCount, request_id: isUuid, client_id: isUuid, received_at: isIso, message: isTextOrNull, timestamp: isTextOrNull,
        userAgent: isTextOrNull,
      });
    return true;
  };
  return expectCall(on.page, 'GET', CONTACTS + query, undefined, 200, { contacts: isPage, next: (next) => next === null || isCount(next) });
}

test('a session as the documentation has it', async () => {
  const client = await welcomed();
  await expectPong(client);
  await answered(client, '在吗', '在的。', { timestamp: NOW });
  const userAgent = await on.page.evaluate(() => navigator.userAgent);
  const id = await requested(client, '请联系我', { timestamp: NOW, userAgent });
  await eventually(() => posted.some(({ request_id }) => request_id === id));
  const newest = (await listed()).contacts[0];
  exact(newest, { ...newest, request_id: id, client_id: client.id, message: '请联系我', timestamp: NOW, userAgent });
  const body = posted.find(({ request_id }) => request_id === id);
  assert.deepEqual([body.message, body.timestamp, body.userAgent, body.connection_id], ['请联系我', NOW, userAgent, client.id]);
  await client.close();
});

test('the other fields may be left out', async () => {
  const client = await welcomed();
  const id = await requested(client, 'call me');
  const newest = (await listed()).contacts[0];
  exact(newest, { ...newest, request_id: id, message: 'call me', timestamp: null, userAgent: null });
  await answered(client, 'hello', 'You said: hello');
  await answered(client, 'hello again', 'You said: hello again', { timestamp: null, more: [{}] });
  await client.close();
});

test('an answer is one frame: with a tool, long, and the text exactly', async () => {
  const client = await welcomed();
  await answered(client, 'sum', 'A moment. It is 579.');
  for (const text of ['emoji 👩‍👩‍👧 CJK 会话 escapes \\ " \n\t\u0001 nul \0 end \u2028\ufeff', 'x'.repeat(1000000)])
    await answered(client, text, `You said: ${text}`);
  await client.close();
});

test('the connection is the conversation, and both sides are kept', async () => {
  const [one, two] = [await welcomed(), await welcomed()];
  await answered(one, 'I am Ada', 'You said: I am Ada');
  await answered(one, 'who?', 'You said: who?');
  await answered(two, 'and I?', 'You said: and I?');
  assert.deepEqual(contents(on.model.asked('who?')[0]), ['I am Ada', 'You said: I am Ada', 'who?']);
  assert.deepEqual(contents(on.model.asked('and I?')[0]), ['and I?']);
  await one.close();
  await two.close();
});

test('a failed model is an apology, and the next question works', async () => {
  const client = await welcomed();
  await answered(client, 'fails', APOLOGY);
  await answered(client, 'and on', 'You said: and on');
  await client.close();
});

test('answers come in the order asked; pings and requests are answered meanwhile', async () => {
  const client = await welcomed();
  await say_(client, 'slow');
  await expectReceived(client);
  await say_(client, 'quick');
  await expectReceived(client);
  await expectPong(client);
  await requested(client, 'meanwhile');
  await expectAnswer(client, 'slow answer');
  await expectAnswer(client, 'You said: quick');
  await client.close();
});

test('every error has its text, and the connection stays', async () => {
  const client = await welcomed();
  for (const text of ['', '{', 'hello', '{"type":"ping"} {}', '[]', 'null', '"ping"', '7', '{"type":"ping","x":"\\ud800"}']) {
    await client.send(text);
    await expectError(client, '消息格式错误，必须是有效的JSON');
  }
  await client.sendBinary('{"type":"ping"}');
  await expectError(client, '消息格式错误，必须是有效的JSON');
  for (const [frame, type] of [[{}, 'None'], [{ type: 5 }, 'None'], [{ type: null }, 'None'], [{ type: 'nonsense' }, 'nonsense'],
    [{ type: '会话 🙂' }, '会话 🙂'], [{ type: 'cancel' }, 'cancel']]) {
    await client.send(frame);
    await expectError(client, `未知的消息类型: ${type}`);
  }
  const wrong = [
    [{}, 'message 不能为空'], [{ message: '' }, 'message 不能为空'], [{ message: ' \n\u3000' }, 'message 不能为空'],
    [{ message: null }, 'message 不能为空'], [{ message: 5 }, 'message 必须是字符串'], [{ message: ['x'] }, 'message 必须是字符串'],
    [{ message: 'x', timestamp: 5 }, 'timestamp 必须是字符串'],
  ];
  for (const type of ['chat_message', 'contact_request']) {
    for (const [fields, what] of wrong) {
      await client.send({ type, ...fields });
      await expectError(client, `处理消息时出错: ${what}`);
    }
  }
  await client.send({ type: 'contact_request', message: 'x', userAgent: {} });
  await expectError(client, '处理消息时出错: userAgent 必须是字符串');
  await answered(client, 'after all', 'You said: after all');
  await client.close();
});

test('it works under a path prefix, too', async () => {
  const client = await welcomed('/blog/site/contact');
  await answered(client, 'hello', 'You said: hello');
  await client.close();
});

test('a frame above the limit is closed with 1009; the client connects again, and the owner with it', async () => {
  const client = await welcomed();
  await client.send({ type: 'ping', fill: 'x'.repeat(1 << 20) });
  await client.expectClose(1009);
  const again = await welcomed();
  assert.notEqual(again.id, client.id);
  await on.parley.tell('end gateway');
  await again.expectClose(1001);
  await on.parley.tell('start gateway');
  const before = (await listed()).contacts.length;
  const last = await welcomed();
  await requested(last, 'still there');
  assert.equal((await listed()).contacts.length, before + 1);
  await last.close();
});

test("the owner's list has pages, newest first", async () => {
  const client = await welcomed();
  const sent = [];
  for (let i = 0; i < 5; i++) sent.unshift(await requested(client, `number ${i}`));
  const found = [];
  let page = { next: undefined };
  while (found.length < sent.length) {
    page = await listed(page.next ? `?limit=2&before=${page.next}` : '?limit=2');
    assert.equal(page.contacts.length, 2);
    found.push(...page.contacts.map(({ request_id }) => request_id));
  }
  assert.deepEqual(found.slice(0, sent.length), sent);
  const all = (await listed('?limit=200')).contacts;
  exact(await listed(`?before=${all.at(-1).number}`), { contacts: [], next: null });
  for (const query of ['?limit=0', '?limit=201', '?limit=x', '?before=0', '?before=-1'])
    await expectCall(on.page, 'GET', CONTACTS + query, undefined, 400, { error: 'before must be a number from 1, limit one from 1 to 200' });
  await expectCall(on.page, 'POST', CONTACTS, {}, 405, { error: 'Method not allowed' });
  await client.close();
});

test("the owner's broadcast reaches everybody who is connected", async () => {
  const visitors = [await welcomed(), await welcomed(), await welcomed('/blog/contact')];
  await expectCall(on.page, 'POST', BROADCAST, { message: '我在 🙂' }, 200, { status: 'sent' });
  for (const visitor of visitors) {
    await expectAnswer(visitor, '我在 🙂');
    await answered(visitor, 'thanks', 'You said: thanks');
  }
  for (const body of [undefined, '{', '[]'])
    await expectCall(on.page, 'POST', BROADCAST, body, 400, { error: 'Invalid JSON format' });
  for (const body of [{}, { message: '' }, { message: 5 }, { message: null }])
    await expectCall(on.page, 'POST', BROADCAST, body, 400, { error: 'message is required' });
  await expectCall(on.page, 'GET', BROADCAST, undefined, 405, { error: 'Method not allowed' });
  for (const visitor of visitors) await visitor.close();
});

test('each request was posted to the webhook once', async () => {
  const ids = (await listed('?limit=200')).contacts.map(({ request_id }) => request_id);
  await eventually(() => posted.length >= ids.length);
  assert.deepEqual(posted.map(({ request_id }) => request_id).sort(), ids.sort());
});
