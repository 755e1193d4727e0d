/* The agent engine's documented client, its test page's, step by step, with Chromium's own WebSocket and fetch. Section 5
 * of the protocols. The page itself is console.test.js's. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { call, contents, refuse, reportResults, say } from './model.js';
import { connect, eventually, exact, expectCall, isCount, isNumber, isSeconds, isText, isUuid, startsWith } from './sockets.js';
import { stage } from './stage.js';

const WORDS = ['One ', 'streamed ', 'answer 🙂'];
const WAITING = 3; /* questions that may wait */
const STATUS = { type: 'status', status: 'processing', timestamp: isSeconds };
const START = { type: 'stream_start', timestamp: isSeconds };
const END = { type: 'stream_end', timestamp: isSeconds };
const CANCELLED = { type: 'cancelled', timestamp: isSeconds };
let on;

before(async () => {
  on = await stage({
    stream: say(WORDS, 40), sum: [call('calculator', { expression: '123 + 456' }, 'A moment. '), reportResults()],
    fails: refuse(400, 'out of order'), slow: say(['slow ', 'answer'], 400), nothing: say([]), endless: say(Array(3000).fill('word '), 20),
  }, { WS_MAX_QUESTIONS: WAITING });
});

async function welcomed() {
  const client = await connect(on.page, '/ws/agent');
  client.id = (await client.expect({ type: 'connected', connection_id: isUuid, message: 'Connected to Agent WebSocket' })).connection_id;
  return client;
}

const expectError = (client, error) => client.expect({ type: 'error', error, timestamp: isSeconds });

async function expectPong(client) {
  await client.send({ type: 'ping' });
  await client.expect({ type: 'pong', timestamp: isSeconds });
}

async function streamed(client, query, text) {
  await client.send({ type: 'streaming_query', query });
  await client.expect(START);
  const frames = await client.collect('stream_chunk');
  exact(frames.pop(), END);
  exact(frames, frames.map(() => ({ type: 'stream_chunk', content: isText, timestamp: isSeconds })));
  assert.equal(frames.map(({ content }) => content).join(''), text);
  return frames.length;
}

async function queried(client, query, content) {
  await client.send({ type: 'agent_query', query });
  await client.expect(STATUS);
  await client.expect({ type: 'agent_response', content, vendor: 'openai', timestamp: isSeconds });
}

test('a session as the documentation has it', async () => {
  const client = await welcomed();
  await expectPong(client);
  await queried(client, 'stream', WORDS.join(''));
  assert.ok(await streamed(client, 'stream', WORDS.join('')) > 1, 'it comes in pieces');
  await client.send({ type: 'tool_call', tool_name: 'calculator', params: { expression: '123 + 456' } });
  await client.expect({ type: 'tool_result', tool_name: 'calculator', result: 579, timestamp: isSeconds });
  await client.send({ type: 'cancel' });
  await client.expect(CANCELLED);
  await client.close();
});

test('answers: with a tool, without text, and the text exactly', async () => {
  const client = await welcomed();
  await streamed(client, 'sum', 'A moment. It is 579.');
  await queried(client, 'nothing', '');
  await streamed(client, 'nothing', '');
  for (const text of ['emoji 👩‍👩‍👧 CJK 会话 escapes \\ " \n\t\u0001 nul \0 end \u2028\ufeff', 'x'.repeat(1000000)])
    await streamed(client, text, `You said: ${text}`);
  await client.close();
});

test('the connection is the conversation', async () => {
  const [one, two] = [await welcomed(), await welcomed()];
  await streamed(one, 'I am Ada', 'You said: I am Ada');
  await queried(one, 'who?', 'You said: who?');
  await queried(two, 'and I?', 'You said: and I?');
  assert.deepEqual(contents(on.model.asked('who?')[0]), ['I am Ada', 'You said: I am Ada', 'who?']);
  assert.deepEqual(contents(on.model.asked('and I?')[0]), ['and I?']);
  await one.close();
  await two.close();
});

test('a cancel stops what runs and what waits, at the provider too', async () => {
  const client = await welcomed();
  await client.send({ type: 'streaming_query', query: 'endless' });
  await client.expect(START);
  assert.equal((await client.receive()).type, 'stream_chunk');
  await client.send({ type: 'streaming_query', query: 'never begun' });
  await client.send({ type: 'cancel' });
  exact((await client.collect('stream_chunk')).pop(), CANCELLED);
  await expectPong(client);
  await eventually(() => !on.model.asked('endless')[0].isOpen);
  assert.deepEqual(on.model.asked('never begun'), []);
  await streamed(client, 'and on', 'You said: and on');
  await client.close();
});

test('a ping and a tool are answered beside an answer; questions wait, up to the limit', async () => {
  const client = await welcomed();
  await client.send({ type: 'streaming_query', query: 'slow' });
  await client.expect(START);
  await client.send({ type: 'ping' });
  await client.send({ type: 'tool_call', tool_name: 'calculator', params: { expression: '2 * 3' } });
  for (let i = 0; i <= WAITING; i++) await client.send({ type: 'agent_query', query: 'stream' });
  const frames = [];
  while (frames.filter(({ type }) => type === 'agent_response').length < WAITING) frames.push(await client.receive());
  const types = frames.map(({ type }) => type);
  const besides = ['pong', 'tool_result', 'error'];
  assert.deepEqual(types.slice(0, types.indexOf('stream_end')).filter((type) => besides.includes(type)).sort(), besides.sort());
  assert.equal(frames[types.indexOf('error')].error, 'Query failed: too many questions are waiting on this connection');
  assert.deepEqual(types.filter((type) => ![...besides, 'stream_chunk'].includes(type)),
    ['stream_end', ...Array(WAITING).fill(['status', 'agent_response']).flat()]);
  await client.close();
});

test('every error has its text, and the connection stays', async () => {
  const client = await welcomed();
  for (const text of ['', '{', 'hello', '{"type":"ping"} {}', '[]', 'null', '"ping"', '7', '{"type":"ping","x":"\\ud800"}']) {
    await client.send(text);
    await expectError(client, 'Invalid JSON format');
  }
  await client.sendBinary('{"type":"ping"}');
  await expectError(client, 'Invalid JSON format');
  for (const [frame, error] of [
    [{ type: 'nonsense' }, 'Unknown message type: nonsense'], [{ type: '会话' }, 'Unknown message type: 会话'],
    [{}, 'Unknown message type: None'], [{ type: 5 }, 'Unknown message type: None'], [{ type: null }, 'Unknown message type: None'],
    ...['agent_query', 'streaming_query'].flatMap((type) => [{}, { query: '' }, { query: ' \n\u3000' }, { query: 7 }, { query: null }]
      .map((fields) => [{ type, ...fields }, 'Query is required'])),
    [{ type: 'tool_call' }, 'Tool name is required'], [{ type: 'tool_call', tool_name: '', params: {} }, 'Tool name is required'],
    [{ type: 'tool_call', tool_name: 5, params: {} }, 'Tool name is required'],
    [{ type: 'tool_call', tool_name: 'nothing', params: {} }, 'Tool not found: nothing'],
    [{ type: 'tool_call', tool_name: 'calculator', params: [] }, startsWith('Tool call failed: ')],
    [{ type: 'tool_call', tool_name: 'calculator', params: {} }, startsWith('Tool call failed: ')],
    [{ type: 'tool_call', tool_name: 'calculator', params: { expression: '1 / 0' } }, startsWith('Tool call failed: ')],
  ]) {
    await client.send(frame);
    await expectError(client, error);
  }
  await client.send({ type: 'streaming_query', query: 'fails' });
  await client.expect(START);
  assert.match((await expectError(client, startsWith('Streaming failed: '))).error, /out of order/);
  await client.send({ type: 'agent_query', query: 'fails' });
  await client.expect(STATUS);
  assert.match((await expectError(client, startsWith('Query failed: '))).error, /out of order/);
  await streamed(client, 'after all', 'You said: after all');
  await client.close();
});

test('a frame above the limit is closed with 1009, and a gateway that ends with 1001', async () => {
  const [large, other] = [await welcomed(), await welcomed()];
  await large.send({ type: 'ping', fill: 'x'.repeat(1 << 20) });
  await large.expectClose(1009);
  await on.parley.tell('end gateway');
  await other.expectClose(1001);
  await on.parley.tell('start gateway');
});

test('its calls over HTTP, and its pages', async () => {
  const client = await welcomed();
  await expectPong(client);
  const before = await expectCall(on.page, 'GET', '/ws/statistics', undefined, 200, {
    active_connections: 1, total_connections: isCount, total_messages: isCount,
    connections: [{ id: client.id, connected_at: isSeconds, message_count: 2, uptime: isNumber }],
  });
  await queried(client, 'counted', 'You said: counted');
  const later = await expectCall(on.page, 'GET', '/ws/statistics', undefined, 200, {
    ...before, total_messages: before.total_messages + 2, connections: [{ ...before.connections[0], message_count: 4, uptime: isNumber }],
  });
  assert.ok(later.connections[0].uptime >= before.connections[0].uptime);
  await expectCall(on.page, 'POST', '/ws/statistics', {}, 405, { error: 'Method not allowed' });
  for (const path of ['/docs', '/static/test_websocket.html'])
    assert.deepEqual(await on.page.evaluate(async (to) => {
      const { status, headers } = await fetch(to);
      return [status, headers.get('Content-Type')];
    }, path), [200, 'text/html; charset=utf-8']);
  await client.close();
});
