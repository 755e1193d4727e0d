/* The minimal protocol's documented client, step by step, with Chromium's own WebSocket. Section 4 of the protocols. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { call, contents, refuse, reportResults, say } from './model.js';
import { connect, exact, isText, startsWith } from './sockets.js';
import { stage } from './stage.js';

const WORDS = ['你', '好', '！🙂'];
const THINKING = { type: 'status', status: 'thinking', data: { message: '正在思考...' } };
const COMPLETED = { type: 'status', status: 'completed', data: { message: '回答完成' } };
const END = { type: 'chunk', content: '', is_final: true };
const CHUNK = { type: 'chunk', content: isText, is_final: false };
const calling = (tool) => ({ type: 'status', status: 'tool_calling', data: { tool, message: `正在调用工具: ${tool}` } });
const completed = (tool) => ({ type: 'status', status: 'tool_completed', data: { tool, message: `工具 ${tool} 执行完成` } });
const EMPTY = '查询内容不能为空';
let on, users = 0;

before(async () => {
  on = await stage({
    你好: say(WORDS, 40), fails: refuse(400, 'out of order'), slow: say(['slow ', 'answer'], 300), nothing: say([]),
    sum: [call('calculator', { expression: '123 + 456' }, 'A moment. '), reportResults()],
  });
});

const fresh = () => `user ${users++} 会话`;
const open = (user = fresh()) => connect(on.page, `/ws/chat/${encodeURIComponent(user)}`);
const expectError = (client, content) => client.expect({ type: 'error', content });

/* An answer's chunks from its first to the empty one at its end, and that it is completed: the text. */
async function expectText(client) {
  const frames = [await client.receive()];
  while (!frames.at(-1).is_final) frames.push(await client.receive());
  exact(frames, [...frames.slice(1).map(() => CHUNK), END]);
  await client.expect(COMPLETED);
  return frames.map(({ content }) => content).join('');
}

async function answered(client, query, answer, more) {
  await client.send({ query, ...more });
  await client.expect(THINKING);
  assert.equal(await expectText(client), answer);
}

test('a session as the documentation has it: nothing is said first', async () => {
  const client = await open();
  await client.expectSilence();
  await answered(client, '你好', WORDS.join(''), { token: 'their token' });
  await answered(client, 'hello', 'You said: hello');
  await answered(client, 'no token', 'You said: no token', { token: null, more: [{}] });
  await client.close();
});

test('a tool is told of between chunks', async () => {
  const client = await open();
  await client.send({ query: 'sum' });
  for (const shape of [THINKING, { ...CHUNK, content: 'A moment. ' }, calling('calculator'), completed('calculator')]) await client.expect(shape);
  assert.equal(await expectText(client), 'It is 579.');
  await client.close();
});

test('an answer without text, and the text exactly', async () => {
  const client = await open();
  await answered(client, 'nothing', '');
  for (const text of ['emoji 👩‍👩‍👧 CJK 会话 escapes \\ " \n\t\u0001 nul \0 end \u2028\ufeff', 'x'.repeat(1000000)])
    await answered(client, text, `You said: ${text}`);
  await client.close();
});

test('the user is the conversation, over connections, and all sockets of a user get the answer', async () => {
  const user = fresh();
  const first = await open(user);
  await answered(first, 'I am Ada', 'You said: I am Ada');
  await first.close();
  const [one, two, other] = [await open(user), await open(user), await open()];
  await answered(one, 'who am I?', 'You said: who am I?');
  await two.expect(THINKING);
  assert.equal(await expectText(two), 'You said: who am I?');
  await answered(other, 'and I?', 'You said: and I?');
  assert.deepEqual(contents(on.model.asked('who am I?')[0]), ['I am Ada', 'You said: I am Ada', 'who am I?']);
  assert.deepEqual(contents(on.model.asked('and I?')[0]), ['and I?']);
  for (const client of [one, two, other]) await client.close();
});

test('answers come in the order asked, and an error at once', async () => {
  const client = await open();
  await client.send({ query: 'slow' });
  await client.expect(THINKING);
  await client.send({ query: 'quick' });
  await client.send({ query: '' });
  const frames = [];
  while (frames.filter(({ status }) => status === 'completed').length < 2) frames.push(await client.receive());
  const error = frames.findIndex(({ type }) => type === 'error');
  exact(frames[error], { type: 'error', content: EMPTY });
  assert.ok(error < frames.findIndex(({ is_final }) => is_final));
  frames.splice(error, 1);
  const second = frames.findIndex(({ status }) => status === 'thinking');
  const text = (of) => of.map(({ content }) => content || '').join('');
  assert.deepEqual([text(frames.slice(0, second)), text(frames.slice(second))], ['slow answer', 'You said: quick']);
  exact(frames[second - 1], COMPLETED);
  await client.close();
});

test('every error has its text, and the connection stays', async () => {
  const client = await open();
  for (const text of ['', '{', 'hello', '{"query":"x"} {}', '[]', 'null', '"query"', '5', '{"query":"\\ud800"}']) {
    await client.send(text);
    await expectError(client, startsWith('服务器错误: '));
  }
  await client.sendBinary('{"query":"x"}');
  await expectError(client, startsWith('服务器错误: '));
  for (const frame of [{}, { query: '' }, { query: ' \t\n\u3000' }, { query: null }, { query: 5 }, { query: ['x'] }, { type: 'ping' }, { type: 'cancel' }]) {
    await client.send(frame);
    await expectError(client, EMPTY);
  }
  for (const token of [5, {}, 'a\0b']) {
    await client.send({ query: 'x', token });
    await expectError(client, startsWith('处理出错: '));
  }
  await client.send({ query: 'fails' });
  await client.expect(THINKING);
  const failed = await expectError(client, startsWith('处理出错: '));
  assert.match(failed.content, /out of order/);
  await answered(client, 'and on', 'You said: and on');
  await client.send({ query: 'x'.repeat(1 << 20) });
  await client.expectClose(1009);
});

test('a path without a user is no place of it', async () => {
  for (const path of ['/ws/chat/', '/ws/chat/a/b']) await (await connect(on.page, path)).expectClose(1006);
});
