/* parley.js by itself, on a scripted WebSocket: what each protocol's frames mean, and how it keeps its connection. */
import assert from 'node:assert/strict';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, beforeEach, mock, test } from 'node:test';

const directory = mkdtempSync(join(tmpdir(), 'parley-js-'));
copyFileSync(new URL('../../services/gateway/static/parley.js', import.meta.url), join(directory, 'parley.mjs'));
const { connect, protocols } = await import(join(directory, 'parley.mjs'));
after(() => rmSync(directory, { recursive: true }));

let sockets;

class ScriptedSocket {
  static OPEN = 1;

  constructor(address) {
    Object.assign(this, { address, readyState: 0, sent: [] });
    sockets.push(this);
  }

  open() {
    this.readyState = 1;
    this.onopen();
  }

  send(text) { this.sent.push(JSON.parse(text)); }
  say(...frames) { for (const frame of frames) this.onmessage({ data: typeof frame === 'string' ? frame : JSON.stringify(frame) }); }
  close() { this.readyState = 3; }

  lose(code = 1006) {
    this.readyState = 3;
    this.onclose({ code, reason: '' });
  }
}

beforeEach(() => {
  sockets = [];
  globalThis.WebSocket = ScriptedSocket;
  mock.timers.enable({ apis: ['setTimeout', 'setInterval'] });
});
afterEach(() => mock.timers.reset());

function opened(options) {
  const messages = [];
  const states = [];
  const chat = connect({
    url: 'ws://example.org/prefix/', onMessage: (message) => messages.push(message),
    onBroadcast: (message) => messages.push(message), onState: ({ state, attempt }) => states.push(`${state} ${attempt}`), ...options,
  });
  const [socket] = sockets;
  socket.open();
  return { chat, socket, messages, states };
}

const types = (messages) => messages.map(({ type }) => type);
const texts = (messages) => messages.filter(({ type }) => type === 'text').map(({ text }) => text);

test('every protocol has its address, below the prefix', () => {
  const addresses = Object.keys(protocols).map((protocol) => opened({ protocol, user: 'a/b', pipeline: 'p' }).chat.address());
  assert.deepEqual(addresses, ['/ws/agent?parley=1', '/ws/chat?parley=1', '/contact?parley=1',
    '/api/v1/pipelines/p/ws/connect?session_type=person&parley=1', '/ws/chat/a%2Fb?parley=1'].map((path) => `ws://example.org/prefix${path}`));
  assert.equal(opened({ extended: false, token: 't' }).chat.address(), 'ws://example.org/prefix/ws/agent?token=t');
});

test('agent_engine', () => {
  const { chat, socket, messages } = opened();
  chat.send('one');
  chat.send('two', { stream: false });
  assert.deepEqual(socket.sent, [{ type: 'streaming_query', query: 'one' }, { type: 'agent_query', query: 'two' }]);
  socket.say({ type: 'connected' }, { type: 'stream_start' }, { type: 'stream_chunk', content: 'a' }, { type: 'stream_chunk', content: 'b' },
    { type: 'stream_end' }, { type: 'status', status: 'processing' }, { type: 'agent_response', content: 'all', vendor: 'v' },
    { type: 'error', error: 'E' }, { type: 'cancelled' }, 'not JSON', '3');
  assert.deepEqual(types(messages), ['started', 'text', 'text', 'completed', 'started', 'completed', 'failed', 'cancelled']);
  assert.deepEqual(texts(messages), ['a', 'ab']);
  assert.deepEqual(messages[3], { type: 'completed', text: 'ab' });
  assert.deepEqual(messages[5], { type: 'completed', text: 'all', vendor: 'v' });
  assert.equal(messages[6].error, 'E');
});

test('yychat', () => {
  const { chat, socket, messages } = opened({ protocol: 'yychat', conversation: 'c' });
  chat.send('q', { persona: 'p' });
  assert.deepEqual(socket.sent[0], { type: 'text_message', content: 'q', conversation_id: 'c', personality_id: 'p', use_tools: true, stream: true });
  socket.say({ type: 'processing_start' }, { type: 'stream_start' }, { type: 'stream_chunk', content: 'a' }, { type: 'stream_end', full_content: 'a' },
    { type: 'text_response', content: 'b' }, { type: 'error', error: { message: 'M' } });
  assert.deepEqual(types(messages), ['started', 'text', 'completed', 'started', 'completed', 'failed']);
  assert.equal(messages.at(-1).error, 'M');
});

test('contact', () => {
  const { chat, socket, messages } = opened({ protocol: 'contact' });
  chat.send('q');
  assert.equal(socket.sent[0].message, 'q');
  socket.say({ type: 'chat_message_received' }, { type: 'chat_message', message: 'a', sender: 'assistant' }, { type: 'error', message: 'M' },
    { type: 'contact_request_received', message: 'R' });
  assert.deepEqual(types(messages), ['started', 'completed', 'failed', 'notice']);
  assert.equal(messages[1].text, 'a');
  chat.send('another');
  socket.say({ type: 'broadcast', message: 'to all' }, { type: 'chat_message', message: 'b', sender: 'assistant' });
  assert.deepEqual(messages.slice(-2), [{ type: 'broadcast', message: 'to all' }, { type: 'completed', text: 'b' }]);
  sockets = [];
  const plain = opened({ protocol: 'contact', extended: false });
  plain.socket.say({ type: 'chat_message', message: 'to all', sender: 'assistant' });
  assert.deepEqual(plain.messages, [{ type: 'broadcast', message: 'to all' }], 'an answer that nobody has asked for');
});

test('langbot: cumulative, each frame instead of the one before', () => {
  const { chat, socket, messages } = opened({ protocol: 'langbot', sessionType: 'group' });
  chat.send('q');
  assert.deepEqual(socket.sent[0].message, [{ type: 'At', target: 'websocketbot' }, { type: 'Plain', text: ' q' }]);
  chat.sendChain([{ type: 'Image', url: 'u' }]);
  const response = (content, final = false, id = 2) => ({ type: 'response', data: { id, content, is_final: final } });
  socket.say({ type: 'connected', connection_id: 'me' }, { type: 'user_message', data: { id: 1, content: 'q', connection_id: 'me' } },
    response('a'), response('ab'), response('abc', true), { type: 'user_message', data: { id: 3, content: 'x', connection_id: 'other' } },
    response('new', true, 4), { type: 'broadcast', message: { any: 1 } });
  assert.deepEqual(types(messages), ['asked', 'started', 'text', 'text', 'completed', 'asked', 'started', 'completed', 'broadcast']);
  assert.deepEqual(messages.filter(({ type }) => type === 'asked').map(({ own }) => own), [true, false]);
  assert.equal(messages[3].delta, 'b');
  assert.equal(messages[4].text, 'abc');
});

test('langbot: answers side by side, and a tool before the first word', () => {
  const { chat, socket, messages } = opened({ protocol: 'langbot' });
  chat.send('q');
  chat.send('r');
  const response = (id, content, final = false) => ({ type: 'response', data: { id, content, is_final: final } });
  const tool = { type: 'tool', id: '1', name: 'n', status: 'running' };
  socket.say(tool, response(2, 'a'), response(4, 'x'), response(2, 'ab'), response(4, 'xy', true), response(2, 'abc', true), tool);
  assert.deepEqual(types(messages), ['started', 'tool', 'text', 'started', 'text', 'text', 'completed', 'completed', 'started', 'tool']);
  assert.deepEqual(messages.filter(({ delta }) => delta).map(({ id, delta }) => `${id} ${delta}`), ['2 a', '4 x', '2 b']);
});

test('langbot: what the group alone was shown ends the question', () => {
  const { chat, socket, messages } = opened({ protocol: 'langbot', sessionType: 'group' });
  socket.say({ type: 'connected', connection_id: 'me' });
  chat.send('q');
  socket.say({ type: 'user_message', data: { id: 1, content: 'q', connection_id: 'me' } }, { type: 'noted' });
  assert.deepEqual(types(messages), ['asked', 'noted']);
  assert.equal(chat.pending, 0);
});

test('langbot: it is connected when the gateway says so, and a pipeline that is none is for good', () => {
  const { socket, messages, states } = opened({ protocol: 'langbot' });
  assert.deepEqual(states, ['connecting 0']);
  socket.say({ type: 'error', message: 'Pipeline not found' });
  socket.lose(1000);
  mock.timers.tick(1000000);
  assert.equal(sockets.length, 1);
  assert.deepEqual([states, messages], [['connecting 0', 'offline 0'], []]);
  sockets = [];
  const other = opened({ protocol: 'langbot' });
  other.socket.say({ type: 'error', message: 'Service unavailable' });
  other.socket.lose(1000);
  mock.timers.tick(4000);
  assert.equal(sockets.length, 2, 'another error may pass');
  sockets[1].open();
  sockets[1].say({ type: 'connected', connection_id: 'me' });
  assert.equal(other.states.at(-1), 'connected 1');
});

test('what stands before an error is known', () => {
  const said = { agent_engine: 'Query failed: E', yychat: 'Message processing failed: E', contact: '处理消息时出错: E', minimal: '服务器错误: E' };
  for (const [protocol, text] of Object.entries(said)) assert.equal(text.replace(protocols[protocol].errorPrefix, ''), 'E');
});

test('a question is one as any frame', () => {
  const { chat, socket, messages } = opened({ protocol: 'contact', extended: false });
  for (const message of ['q', 'r']) chat.sendFrame(JSON.stringify({ type: 'chat_message', message }));
  chat.sendFrame({ type: 'contact_request', message: 'call me' });
  assert.equal(chat.pending, 2);
  for (const message of ['a', 'b', 'to all']) socket.say({ type: 'chat_message', message });
  assert.deepEqual(types(messages), ['completed', 'completed', 'broadcast']);
});

test('half a character is sent as none, and the length of a question is known before', () => {
  const { chat, socket } = opened({ longest: 60 });
  chat.send('a\ud800b 🙂 \udc00');
  assert.equal(socket.sent[0].query, 'a\ufffdb 🙂 \ufffd');
  const room = 60 - JSON.stringify({ type: 'streaming_query', query: '' }).length;
  assert.deepEqual([chat.excess('a'.repeat(room)), chat.excess('a'.repeat(room + 1)), chat.excess('é'.repeat(room))], [0, 1, room]);
});

test('minimal', () => {
  const { chat, socket, messages } = opened({ protocol: 'minimal', token: 't' });
  chat.send('q');
  assert.deepEqual(socket.sent[0], { query: 'q', token: 't' });
  socket.say({ type: 'status', status: 'thinking' }, { type: 'chunk', content: 'a', is_final: false }, { type: 'status', status: 'tool_calling' },
    { type: 'chunk', content: '', is_final: true }, { type: 'status', status: 'completed' }, { type: 'error', content: 'E' });
  assert.deepEqual(types(messages), ['started', 'text', 'completed', 'failed']);
  mock.timers.tick(120000);
  assert.equal(socket.sent.length, 1, 'it has no ping');
});

test('tool steps and cancel, in every protocol', () => {
  for (const protocol of Object.keys(protocols)) {
    sockets = [];
    const { chat, socket, messages } = opened({ protocol });
    assert.ok(chat.cancel());
    assert.deepEqual(socket.sent.at(-1), { type: 'cancel' });
    socket.say({ type: 'tool', id: '1', name: 'n', status: 'running' }, { type: 'cancelled' });
    assert.deepEqual(types(messages), ['started', 'tool', 'cancelled']);
  }
});

test('a lost connection fails what was asked, and is tried five times', () => {
  const { chat, socket, messages, states } = opened();
  chat.send('q');
  socket.say({ type: 'stream_start' });
  socket.lose();
  assert.deepEqual(messages.at(-1), { type: 'failed', error: 'the connection was lost', lost: true });
  for (let i = 1; i <= 5; i++) {
    mock.timers.tick(3000 * i * 0.79);
    assert.equal(sockets.length, i, 'not too early');
    mock.timers.tick(3000 * i * 0.42);
    assert.equal(sockets.length, i + 1);
    sockets.at(-1).lose();
  }
  mock.timers.tick(1000000);
  assert.equal(sockets.length, 6);
  assert.equal(states.at(-1), 'offline 5');
  assert.equal(chat.send('again'), false);
  chat.open();
  assert.equal(states.at(-1), 'connecting 0');
});

test('it pings, and gives up a connection that does not answer', () => {
  const { socket, states } = opened();
  mock.timers.tick(30000);
  assert.deepEqual(socket.sent, [{ type: 'ping' }]);
  socket.say({ type: 'pong' });
  mock.timers.tick(30000);
  assert.equal(states.at(-1), 'connected 0');
  mock.timers.tick(30000);
  assert.match(states.at(-1), /^reconnecting/);
});

test('an answer is resumed from its last byte', () => {
  const { chat, socket, messages } = opened();
  socket.say({ type: 'session', resume: 'token' });
  chat.send('q');
  socket.say({ type: 'stream_start' }, { type: 'stream_chunk', content: '茶a' });
  socket.lose();
  mock.timers.tick(4000);
  assert.equal(new URL(sockets[1].address).search, '?parley=1&resume=token&offset=4');
  sockets[1].open();
  sockets[1].say({ type: 'session', resume: 'next' }, { type: 'stream_start' }, { type: 'stream_chunk', content: 'b' }, { type: 'stream_end' });
  assert.equal(messages.at(-1).text, '茶ab');
  assert.ok(!types(messages).includes('failed'));
  const again = opened({ resume: 'next', answered: '茶' });
  assert.match(sockets[2].address, /offset=3/);
  sockets[2].say({ type: 'session', resume: 'other', resumed: false });
  assert.deepEqual(types(again.messages), ['failed', 'session']);
  assert.deepEqual(again.messages[1], { type: 'session', resume: 'other', anew: true }, 'that token is not known any more');
});

test('an end that was received is not told again', () => {
  const { chat, socket, messages } = opened();
  socket.say({ type: 'session', resume: 'token' });
  chat.send('q');
  socket.say({ type: 'stream_start' }, { type: 'stream_chunk', content: 'a' }, { type: 'stream_end' });
  socket.lose();
  mock.timers.tick(4000);
  sockets[1].open();
  const before = messages.length;
  sockets[1].say({ type: 'session', resume: 'token', resumed: true }, { type: 'stream_start' }, { type: 'stream_chunk', content: 'a' },
    { type: 'stream_end' });
  assert.deepEqual(types(messages.slice(before)), ['session']);
  chat.send('r');
  sockets[1].say({ type: 'stream_start' }, { type: 'stream_chunk', content: 'b' }, { type: 'stream_end' });
  assert.deepEqual(types(messages.slice(before)), ['session', 'started', 'text', 'completed']);
  assert.equal(messages.at(-1).text, 'b');
});

test('close() is for good, and ends what was asked', () => {
  const { chat, messages, states } = opened();
  chat.send('q');
  chat.close();
  mock.timers.tick(1000000);
  assert.equal(sockets.length, 1);
  assert.deepEqual(types(messages), ['failed']);
  assert.equal(states.at(-1), 'offline 0');
});

test('nonsense is refused at once', () => {
  assert.throws(() => connect({ protocol: 'other' }), /no such protocol/);
  assert.throws(() => connect({ address: 'nonsense' }));
});
