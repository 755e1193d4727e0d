/* A scripted model provider, as tests/support/model_server.py is one: OpenAI's chat completions, streamed. Questions that
 * have no script are answered with "You said: <question>".
 *
 *   const model = await startModel({ sum: [call('calculator', { expression: '1 + 1' }), reportResults()], … });
 *   model.url, model.asked('sum'): what was sent with that question, oldest first
 */
import { createServer } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { atEnd } from './support.js';

export async function startModel(scripts = {}) {
  const requests = [];
  const server = createServer(async (incoming, response) => {
    let body = '';
    for await (const piece of incoming) body += piece;
    const { messages } = JSON.parse(body);
    const question = textOf(messages.findLast(({ role }) => role === 'user'));
    const request = { question, messages, isOpen: true };
    const place = requests.filter((other) => other.question === question).length;
    requests.push(request);
    response.on('close', () => { request.isOpen = false; });
    const script = [scripts[question] || say(['You ', 'said: ', question])].flat();
    await script[place % script.length](response, request);
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  atEnd(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    url: `http://127.0.0.1:${server.address().port}/v1`,
    asked: (question) => requests.filter((request) => request.question === question),
  };
}

/** The texts of a conversation as the model was sent it, without the system's. */
export const contents = ({ messages }) => messages.filter(({ role }) => role !== 'system').map(textOf);

/* ---- What it may do with a request */

/** Answers with these pieces, one every `delay` milliseconds. */
export function say(pieces, delay = 0) {
  return async (response) => {
    for (const content of pieces) {
      if (response.destroyed) return;
      writeDelta(response, { content });
      await wait(delay);
    }
    end(response, 'stop');
  };
}

/** Calls a tool. */
export function call(name, argumentsOfIt, text = '') {
  return (response, { messages }) => {
    if (text) writeDelta(response, { content: text });
    const call_ = { name, arguments: JSON.stringify(argumentsOfIt) };
    writeDelta(response, { tool_calls: [{ index: 0, id: `call_${messages.length}`, type: 'function', function: call_ }] });
    end(response, 'tool_calls');
  };
}

/** Says what the last tool said. */
export function reportResults() {
  return (response, request) => say([`It is ${textOf(request.messages.at(-1))}.`])(response);
}

export function refuse(status, message) {
  return (response) => response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify({ error: { message } }));
}

function writeDelta(response, delta, finish = null) {
  if (!response.headersSent) response.writeHead(200, { 'Content-Type': 'text/event-stream' });
  response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`);
}

function end(response, finish) {
  writeDelta(response, {}, finish);
  response.end('data: [DONE]\n\n');
}

function textOf({ content }) {
  return typeof content === 'string' ? content : (content || []).map((part) => part.text || '').join('');
}
