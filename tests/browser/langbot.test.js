/* LangBot's documented browser client, step by step, with Chromium's own WebSocket and fetch. Section 3 of the protocols.
 * How it reconnects and pings by itself is parley.js's: live.test.js. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { call, contents, refuse, reportResults, say } from './model.js';
import { connect, exact, expectCall, isIso, isText, isUuid } from './sockets.js';
import { stage } from './stage.js';
import { jsonFile } from './support.js';

const WORDS = ['One ', 'streamed ', 'answer 🙂'];
const NO_SESSION = 'session_type must be person or group';
const NO_PIPELINE = 'Pipeline not found';
const MENTION = { type: 'At', target: 'websocketbot' };
const UNKNOWN = '99999999-9999-4999-8999-999999999999';
const NAMES = Array.from({ length: 12 }, (_, i) => `11111111-1111-4111-8111-${String(i).padStart(12, '0')}`);
const unused = [...NAMES]; /* what is said in a pipeline stays there */
let on;

before(async () => {
  const config = jsonFile('parley.json', { pipelines: NAMES.map((uuid) => ({ uuid, name: uuid })) });
  on = await stage({
    stream: say(WORDS, 40), sum: [call('calculator', { expression: '123 + 456' }, 'A moment. '), reportResults()],
    fails: refuse(400, 'out of order'), slow: say(['slow ', 'slow ', 'slow'], 400), nothing: say([]),
  }, { PARLEY_CONFIG: config });
});

const path = (pipeline, session) => `/api/v1/pipelines/${pipeline}/ws/connect${session === undefined ? '' : `?session_type=${session}`}`;
const plain = (text) => [{ type: 'Plain', text }];

async function welcomed(pipeline, session) {
  const client = await connect(on.page, path(pipeline, session));
  client.session = session || 'person';
  const welcome = { type: 'connected', connection_id: isUuid, pipeline_uuid: pipeline, session_type: client.session, timestamp: isIso };
  client.id = (await client.expect(welcome)).connection_id;
  return client;
}

const ask = (client, message, more = {}) => client.send({ type: 'message', message: typeof message === 'string' ? plain(message) : message, ...more });
const expectError = (client, message) => client.expect({ type: 'error', message });

async function expectPong(client) {
  await client.send({ type: 'ping' });
  await client.expect({ type: 'pong', timestamp: isIso });
}

const questionShape = (id, chain, content, asker) => ({
  id, role: 'user', content, message_chain: chain, timestamp: isIso, is_final: true, connection_id: asker.id,
});
const answerShape = (id, content, is_final, timestamp = isIso) => ({
  id, role: 'assistant', content, message_chain: plain(content), timestamp, is_final, connection_id: '',
});

/* What a member of the session sees of a question: its data. */
async function expectQuestion(client, id, chain, content, asker = client) {
  const shape = { type: 'user_message', session_type: client.session, data: questionShape(id, chain, content, asker) };
  return (await client.expect(shape)).data;
}

/* …and of its answer: the frames' data. Each holds all text so far. */
async function expectAnswer(client, id, text) {
  const seen = [];
  while (!seen.at(-1)?.is_final) {
    const frame = await client.receive();
    const content = frame.data?.content;
    const isFinal = Boolean(frame.data?.is_final);
    exact(frame, { type: 'response', session_type: client.session, data: answerShape(id, content, isFinal, seen[0]?.timestamp ?? isIso) });
    assert.ok(content.startsWith(seen.at(-1)?.content ?? ''), 'it is cumulative');
    seen.push(frame.data);
  }
  assert.equal(seen.at(-1).content, text);
  return seen;
}

async function answered(client, id, question, answer, more) {
  await ask(client, question, more);
  const asked = await expectQuestion(client, id, plain(question), question);
  return [asked, ...await expectAnswer(client, id + 1, answer)];
}

const api = (pipeline, action) => `/api/v1/pipelines/${pipeline}/ws/${action}`;
const ok = (data) => ({ code: 0, msg: 'ok', data });
const callOk = async (method, address, body, data) => (await expectCall(on.page, method, address, body, 200, ok(data))).data;
const callFails = (method, address, body, status, msg) => expectCall(on.page, method, address, body, status, { code: -1, msg });

test('a session as the documentation has it', async () => {
  const client = await welcomed(unused.pop());
  await expectPong(client);
  const frames = await answered(client, 1, 'stream', WORDS.join(''), { stream: true });
  assert.ok(frames.length > 2, 'it comes in pieces');
  assert.equal((await answered(client, 3, 'stream', WORDS.join(''), { stream: false })).length, 2);
  await client.send({ message: plain('no type') });
  await expectQuestion(client, 5, plain('no type'), 'no type');
  await expectAnswer(client, 6, 'You said: no type');
  await client.send({ type: 'disconnect' });
  await client.expectClose(1000);
});

test('the session is a person by default, and what is neither is refused', async () => {
  const pipeline = unused.pop();
  for (const session of [undefined, 'person', 'group']) await (await welcomed(pipeline, session)).close();
  for (const [where, message] of [[path(pipeline, 'both'), NO_SESSION], [path(pipeline, ''), NO_SESSION], [path(pipeline, 'Person'), NO_SESSION],
    [path(UNKNOWN), NO_PIPELINE], [path(UNKNOWN, 'group'), NO_PIPELINE], [path('会话'), NO_PIPELINE]]) {
    const client = await connect(on.page, where);
    await expectError(client, message);
    await client.expectClose(1000);
  }
});

test('answers: with a tool, without text, and the text exactly', async () => {
  const client = await welcomed(unused.pop());
  await answered(client, 1, 'sum', 'A moment. It is 579.');
  await answered(client, 3, 'nothing', '');
  let id = 5;
  for (const text of ['emoji 👩‍👩‍👧 CJK 会话 escapes \\ " \n\t\u0001 nul \0 end \u2028\ufeff', 'x'.repeat(1000000)]) {
    await answered(client, id, text, `You said: ${text}`);
    id += 2;
  }
  await client.close();
});

test('every socket of the session sees everything, and no other', async () => {
  const pipeline = unused.pop();
  const [one, two, group, stranger] = [await welcomed(pipeline), await welcomed(pipeline, 'person'), await welcomed(pipeline, 'group'),
    await welcomed(unused.pop())];
  const [asked, ...seen] = await answered(one, 1, 'hello', 'You said: hello');
  exact(await expectQuestion(two, 1, plain('hello'), 'hello', one), asked);
  exact((await expectAnswer(two, 2, 'You said: hello')).at(-1), seen.at(-1));
  await answered(two, 3, 'and I', 'You said: and I');
  await expectQuestion(one, 3, plain('and I'), 'and I', two);
  await expectAnswer(one, 4, 'You said: and I');
  assert.deepEqual(contents(on.model.asked('and I')[0]), ['hello', 'You said: hello', 'and I']);
  await answered(group, 1, 'ai?', 'You said: ai?');
  for (const client of [one, two, group, stranger]) {
    await expectPong(client); /* nothing else has come */
    await client.close();
  }
});

test('in a group the bot answers when it is meant', async () => {
  const client = await welcomed(unused.pop(), 'group');
  await ask(client, 'hello all');
  await expectQuestion(client, 1, plain('hello all'), 'hello all');
  await answered(client, 2, 'ai, hello', 'You said: ai, hello');
  const chain = [MENTION, { type: 'Plain', text: ' you there' }];
  await ask(client, chain);
  await expectQuestion(client, 4, chain, '@websocketbot you there');
  await expectAnswer(client, 5, 'You said: @websocketbot you there');
  await client.close();
});

test('components come back as they were sent, and are rendered as text', async () => {
  const client = await welcomed(unused.pop());
  let id = 1;
  for (const [component, rendered] of [
    [{ type: 'Plain', text: 'text' }, 'text'], [MENTION, '@websocketbot'], [{ ...MENTION, display: null }, '@websocketbot'],
    [{ type: 'AtAll' }], [{ type: 'Image', url: 'https://example.org/a.png' }, '[Image]'],
    [{ type: 'Image', base64: 'data:image/png;base64,iVBORw0KGgo=' }, '[Image]'], [{ type: 'Voice', url: 'https://example.org/a.mp3' }],
    [{ type: 'File', name: 'a.pdf', size: 1000, url: 'https://example.org/a.pdf' }], [{ type: 'Quote', origin: plain('quoted') }],
    [{ type: 'Source', id: 5 }], [{ type: 'Forward', node_list: [] }], [{ type: 'Unknown', text: 'what' }],
  ]) {
    const chain = [component, { type: 'Plain', text: ' and text' }];
    await ask(client, chain, { stream: false });
    const { data } = await client.receive();
    exact(data, questionShape(id, chain, rendered === undefined ? isText : `${rendered} and text`, client));
    assert.equal((await client.receive()).data.id, id + 1);
    id += 2;
  }
  await client.close();
});

test('answers side by side are told apart by their id', async () => {
  const client = await welcomed(unused.pop());
  await ask(client, 'slow');
  await expectQuestion(client, 1, plain('slow'), 'slow');
  await ask(client, 'quick', { stream: false });
  const frames = [];
  while (frames.filter(({ data }) => data.role === 'assistant' && data.is_final).length < 2) frames.push(await client.receive());
  const ends = frames.filter(({ type, data }) => type === 'response' && data.is_final).map(({ data }) => [data.id, data.content]);
  assert.deepEqual(ends, [[4, 'You said: quick'], [2, 'slow slow slow']]);
  await client.close();
});

test('every error has its text, and the connection stays', async () => {
  const client = await welcomed(unused.pop());
  for (const text of ['', '{', 'hello', '{"type":"ping"} {}', '[]', 'null', '7', '{"type":"ping","x":"\\ud800"}']) {
    await client.send(text);
    await expectError(client, 'Invalid JSON format');
  }
  await client.sendBinary('{"type":"ping"}');
  await expectError(client, 'Invalid JSON format');
  const noList = 'message must be a list of components';
  for (const [frame, message] of [[{ type: 'nonsense' }, 'Unknown message type: nonsense'], [{ type: 5 }, 'Unknown message type: None'],
    [{ type: 'cancel' }, 'Unknown message type: cancel'], [{}, 'message is required'], [{ message: null }, 'message is required'],
    [{ message: 'hello' }, noList], [{ message: [5] }, noList], [{ message: [{ type: 'Plain', text: 5 }] }, noList],
    [{ message: [] }, 'message is empty'], [{ message: plain(' \n') }, 'message is empty'],
    [{ message: plain('x'), stream: 'no' }, 'stream must be a boolean']]) {
    await client.send(frame);
    await expectError(client, message);
  }
  await ask(client, 'fails');
  await expectQuestion(client, 1, plain('fails'), 'fails');
  const failed = await client.expect({ type: 'error', message: isText });
  assert.match(failed.message, /out of order/);
  await ask(client, 'and on', { stream: false });
  assert.equal((await client.receive()).data.content, 'and on');
  assert.equal((await client.receive()).data.content, 'You said: and on');
  await client.send({ type: 'ping', fill: 'x'.repeat(1 << 20) });
  await client.expectClose(1009);
});

test('its calls over HTTP: history, reset, connections', async () => {
  const pipeline = unused.pop();
  const client = await welcomed(pipeline);
  const group = await welcomed(pipeline, 'group');
  await callOk('GET', api(pipeline, 'messages/person'), undefined, { messages: [] });
  const frames = await answered(client, 1, 'remember', 'You said: remember');
  await callOk('GET', api(pipeline, 'messages/person'), undefined, { messages: [frames[0], frames.at(-1)] });
  await callOk('GET', api(pipeline, 'messages/group'), undefined, { messages: [] });
  const of = ({ id, session }) => ({ connection_id: id, session_type: session, created_at: isIso, last_active: isIso, is_active: true });
  const { connections } = await callOk('GET', api(pipeline, 'connections'), undefined, {
    stats: { total_connections: 2, pipelines: 1, connections_by_pipeline: { [pipeline]: 2 }, connections_by_session_type: { person: 1, group: 1 } },
    connections: Array.isArray,
  });
  exact(connections.sort((a, b) => b.session_type.localeCompare(a.session_type)), [of(client), of(group)]);
  await callOk('POST', api(pipeline, 'reset/person'), undefined, { message: 'Session reset successfully' });
  await callOk('GET', api(pipeline, 'messages/person'), undefined, { messages: [] });
  await answered(client, 1, 'afterwards', 'You said: afterwards');
  assert.deepEqual(contents(on.model.asked('afterwards')[0]), ['afterwards']);
  await client.close();
  await group.close();
});

test('its calls over HTTP: broadcast, and what is wrong', async () => {
  const pipeline = unused.pop();
  const members = [await welcomed(pipeline), await welcomed(pipeline, 'group')];
  for (const message of ['hello 🙂', { a: [1, null, '会话'] }, ['x'], 0, false, 1.5]) {
    await callOk('POST', api(pipeline, 'broadcast'), { message }, { message: 'Broadcast sent successfully' });
    for (const member of members) await member.expect({ type: 'broadcast', message, timestamp: isIso });
  }
  for (const body of [undefined, {}, { message: null }, [], '"message"'])
    await callFails('POST', api(pipeline, 'broadcast'), body, 400, 'message is required');
  for (const [method, action] of [['GET', 'messages/person'], ['POST', 'reset/person'], ['GET', 'connections'], ['POST', 'broadcast']]) {
    await callFails(method, api(UNKNOWN, action), method === 'POST' ? { message: 'x' } : undefined, 404, NO_PIPELINE);
    await callFails(method === 'GET' ? 'POST' : 'GET', api(pipeline, action), undefined, 405, 'Method not allowed');
  }
  for (const [method, action] of [['GET', 'messages/both'], ['POST', 'reset/Person']])
    await callFails(method, api(pipeline, action), undefined, 400, NO_SESSION);
  for (const member of members) await member.close();
});
