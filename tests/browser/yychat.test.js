/* YYChat's documented client, step by step, with Chromium's own WebSocket and fetch. Section 1 of the protocols. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { call, contents, refuse, reportResults, say } from './model.js';
import { connect, exact, expectCall, isCount, isNumber, isSeconds, isText, isUuid, startsWith } from './sockets.js';
import { stage } from './stage.js';

const WORDS = ['你', '好', '！🙂'];
const WAITING = 3; /* questions that may wait */
const IDLE_SECONDS = 6;
const PATH = '/ws/chat';
let on;

before(async () => {
  on = await stage({
    你好: say(WORDS, 40), sum: [call('calculator', { expression: '123 + 456' }, 'A moment. '), reportResults()],
    fails: refuse(400, 'out of order'), slow: say(['slow ', 'answer'], 400), nothing: say([]),
  }, { WS_MAX_QUESTIONS: WAITING, WS_CONNECTION_TIMEOUT: IDLE_SECONDS });
});

/* One that has been welcomed: `own` is what each of its messages bears besides the type. */
async function welcomed(path = PATH) {
  const client = await connect(on.page, path);
  const { client_id } = await client.expect({ type: 'connection_established', client_id: isUuid, timestamp: isSeconds, message: '连接已建立' });
  client.own = { client_id, timestamp: isSeconds };
  return client;
}

const ask = (client, content, more = {}) => client.send({ type: 'text_message', content, ...more });

async function expectStream(client, text) {
  await client.expect({ type: 'processing_start', ...client.own });
  await client.expect({ type: 'stream_start', ...client.own });
  const frames = await client.collect('stream_chunk');
  const end = frames.pop();
  exact(frames, frames.map(() => ({ type: 'stream_chunk', content: isText, ...client.own })));
  exact(end, { type: 'stream_end', full_content: text, ...client.own });
  assert.equal(frames.map(({ content }) => content).join(''), text);
  return frames.length;
}

async function expectWhole(client, content, conversation_id) {
  await client.expect({ type: 'processing_start', ...client.own });
  await client.expect({ type: 'text_response', content, conversation_id, ...client.own });
}

const expectMessageError = (client, message) => client.expect({
  type: 'error', error: { message, type: 'message_processing_error', code: 'invalid_message' }, timestamp: isSeconds,
});
const expectAnswerError = (client, message) => client.expect({
  type: 'error', error: { message, type: 'text_processing_error', code: 'text_processing_failed' }, ...client.own,
});
const expectJsonError = (client) => client.expect({
  type: 'error', error: { message: 'Invalid JSON format', type: 'json_parse_error', code: 'invalid_json' }, ...client.own,
});
const COUNTS = {
  total_connections: isCount, active_connections: isCount, total_messages: isCount, max_connections: isCount, uptime: isNumber,
};

test('a session as the documentation has it', async () => {
  const client = await welcomed();
  const more = { client_id: client.own.client_id, timestamp: Date.now() / 1000 };
  await client.send({ type: 'ping', ...more });
  await client.expect({ type: 'pong', ...client.own });
  await client.send({ type: 'heartbeat', ...more });
  await client.expect({ type: 'heartbeat_response', ...client.own });
  await client.send({ type: 'get_status', ...more });
  await client.expect({ type: 'status_response', data: COUNTS, ...client.own });
  await ask(client, '你好', { ...more, conversation_id: 'c1', personality_id: 'assistant', use_tools: true, stream: true });
  assert.ok(await expectStream(client, WORDS.join('')) > 1, 'it comes in pieces');
  await ask(client, '你好', { stream: false });
  await expectWhole(client, WORDS.join(''), null);
  await ask(client, '你好', { stream: false, conversation_id: 'c1' });
  await expectWhole(client, WORDS.join(''), 'c1');
  await client.close();
});

test('answers: with a tool, without text, and the text exactly', async () => {
  const client = await welcomed();
  await ask(client, 'sum');
  await expectStream(client, 'A moment. It is 579.');
  await ask(client, 'nothing');
  await expectStream(client, '');
  for (const text of ['emoji 👩‍👩‍👧 CJK 会话 escapes \\ " \n\t\u0001 nul \0 end \u2028\ufeff', 'x'.repeat(1000000)]) {
    await ask(client, text);
    await expectStream(client, `You said: ${text}`);
  }
  await client.close();
});

test('questions with one conversation_id share a conversation, and others do not', async () => {
  const [one, two] = [await welcomed(), await welcomed()];
  for (const [client, question, more] of [[one, 'I am Ada', { conversation_id: 'c2' }], [one, 'elsewhere', { conversation_id: 'c3' }],
    [one, 'nowhere', {}], [two, 'who am I?', { conversation_id: 'c2' }], [two, 'and without?', {}], [one, 'here again', {}]]) {
    await ask(client, question, more);
    await expectStream(client, `You said: ${question}`);
  }
  const sent = (question) => contents(on.model.asked(question)[0]);
  assert.deepEqual(sent('who am I?'), ['I am Ada', 'You said: I am Ada', 'who am I?']);
  assert.deepEqual(sent('and without?'), ['and without?']);
  assert.deepEqual(sent('here again'), ['nowhere', 'You said: nowhere', 'here again']);
  await one.close();
  await two.close();
});

test('a persona is picked, and an unknown one is an error', async () => {
  const client = await welcomed();
  await ask(client, 'as a translator', { personality_id: 'translator' });
  await expectStream(client, 'You said: as a translator');
  assert.match(on.model.asked('as a translator')[0].messages[0].content, /translator/);
  for (const [stream, what] of [[true, 'Streaming response failed'], [false, 'Text processing failed']]) {
    await ask(client, 'as a stranger', { personality_id: 'stranger', stream });
    await client.expect({ type: 'processing_start', ...client.own });
    await expectAnswerError(client, `${what}: Unknown personality: stranger`);
  }
  await client.close();
});

test('answers come in the order asked, a ping is answered meanwhile, and there is a limit', async () => {
  const client = await welcomed();
  await ask(client, 'slow');
  await client.expect({ type: 'processing_start', ...client.own });
  await client.send({ type: 'ping' });
  for (let i = 0; i <= WAITING; i++) await ask(client, '你好', { stream: false });
  const frames = [];
  while (frames.filter(({ type }) => type === 'text_response').length < WAITING) frames.push(await client.receive());
  const types = frames.map(({ type }) => type);
  const isBeside = (type) => type === 'pong' || type === 'error';
  assert.deepEqual(types.slice(0, types.indexOf('stream_end')).filter(isBeside), ['pong', 'error']);
  assert.equal(frames[types.indexOf('error')].error.message, 'Text processing failed: too many questions are waiting on this connection');
  assert.deepEqual(types.filter((type) => !isBeside(type) && type !== 'stream_chunk'),
    ['stream_start', 'stream_end', ...Array(WAITING).fill(['processing_start', 'text_response']).flat()]);
  await client.close();
});

test('every error has its text, and the connection stays', async () => {
  const client = await welcomed();
  for (const text of ['', '{', 'hello', '{"type":"ping"} {}', '{"type":"ping","x":"\\ud800"}']) {
    await client.send(text);
    await expectJsonError(client);
  }
  await client.sendBinary('{"type":"ping"}');
  await expectJsonError(client);
  const errors = [
    [[], 'Invalid message format'], [null, 'Invalid message format'], [7, 'Invalid message format'], [{}, 'Invalid message format'],
    [{ type: 5 }, 'Invalid message format'], [{ type: null }, 'Invalid message format'],
    [{ type: 'ping', client_id: 'another' }, 'Client ID mismatch'], [{ type: 'ping', client_id: 5 }, 'Client ID mismatch'],
    [{ type: 'nonsense' }, 'Unknown message type: nonsense'], [{ type: '会话' }, 'Unknown message type: 会话'],
    [{ type: 'cancel' }, 'Unknown message type: cancel'],
  ];
  for (const [frame, message] of errors) {
    await client.send(frame);
    await expectMessageError(client, message);
  }
  for (const wrong of [{}, { content: '' }, { content: ' \t\n\u3000' }, { content: 5 }, { content: null }, { content: 'x', conversation_id: 5 },
    { content: 'x', personality_id: {} }, { content: 'x', use_tools: 'yes' }, { content: 'x', stream: 1 }]) {
    await client.send({ type: 'text_message', ...wrong });
    await expectAnswerError(client, 'Invalid text message format');
  }
  await ask(client, 'fails');
  await client.expect({ type: 'processing_start', ...client.own });
  await client.expect({ type: 'stream_start', ...client.own });
  const failed = await expectAnswerError(client, startsWith('Streaming response failed: '));
  assert.match(failed.error.message, /out of order/);
  await ask(client, 'fails', { stream: false });
  await client.expect({ type: 'processing_start', ...client.own });
  await expectAnswerError(client, startsWith('Text processing failed: '));
  await ask(client, 'and on');
  await expectStream(client, 'You said: and on');
  await client.close();
});

test('silence ends a connection in words, and a heartbeat keeps it', async () => {
  const [quiet, lively] = [await welcomed(), await welcomed()];
  const closing = quiet.expect({ type: 'connection_closed', ...quiet.own, message: '连接已关闭' });
  let closed = false;
  closing.finally(() => { closed = true; }).catch(() => {});
  while (!closed) {
    await lively.send({ type: 'heartbeat' });
    await lively.expect({ type: 'heartbeat_response', ...lively.own });
    await new Promise((resolve) => { setTimeout(resolve, 100); });
  }
  await closing;
  await quiet.expectClose(1000);
  await lively.close();
});

test('a frame above the limit is closed with 1009, and a gateway that ends with 1001', async () => {
  const [large, other] = [await welcomed(), await welcomed()];
  await large.send({ type: 'ping', fill: 'x'.repeat(1 << 20) });
  await large.expectClose(1009);
  await ask(other, 'slow');
  await other.expect({ type: 'processing_start', ...other.own });
  const ended = on.parley.tell('end gateway');
  await other.expect({ type: 'stream_start', ...other.own });
  assert.equal((await other.collect('stream_chunk')).pop().full_content, 'slow answer');
  await other.expectClose(1001);
  await ended;
  await on.parley.tell('start gateway');
});

test('its calls over HTTP', async () => {
  const client = await welcomed();
  const { data } = await expectCall(on.page, 'GET', '/ws/status', undefined, 200, { status: 'success', data: COUNTS });
  assert.equal(data.active_connections, 1);
  const { data: described } = await expectCall(on.page, 'GET', '/ws/handlers', undefined, 200, {
    status: 'success',
    data: { handlers: { ping: isText, heartbeat: isText, get_status: isText, text_message: isText }, middleware: Array.isArray },
  });
  for (const name of ['authentication', 'rate_limit', 'logging']) assert.ok(described.middleware.includes(name), name);
  for (const path of ['/ws/status', '/ws/handlers'])
    await expectCall(on.page, 'POST', path, {}, 405, { status: 'error', message: 'Method not allowed' });
  await client.close();
});
