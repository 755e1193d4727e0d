/* Chromium's own WebSocket and fetch, led by a test step by step:
 *
 *   const client = await connect(page, '/ws/agent');
 *   await client.expect({ type: 'connected', connection_id: isUuid, message: 'Connected to Agent WebSocket' });
 *   await client.send({ type: 'ping' });
 *
 * A shape is the value itself, wherever it holds no function; a function is asked about what stands in its place. No field
 * may be missing, and none besides.
 */
import assert from 'node:assert/strict';

/* ---- Shapes */

const NOW_MS = 300000;
const isNow = (ms) => Math.abs(ms - Date.now()) < NOW_MS;

export const isText = (value) => typeof value === 'string' && value !== '';
export const isCount = (value) => Number.isSafeInteger(value) && value >= 0;
export const isNumber = (value) => typeof value === 'number';
/** Unix seconds with a fraction, now. */
export const isSeconds = (value) => isNumber(value) && isNow(value * 1000);
/** ISO 8601 with microseconds and without a zone, which is UTC; now. */
export const isIso = (value) => /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}$/.test(value) && isNow(Date.parse(`${value}Z`));
export const isUuid = (value) => /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(value);
export const startsWith = (beginning) => (value) => isText(value) && value.startsWith(beginning) && value.length > beginning.length;

export function exact(value, shape, where = 'frame') {
  if (typeof shape === 'function') {
    assert.ok(shape(value), `${where} is ${JSON.stringify(value)}`);
  } else if (shape === null || typeof shape !== 'object') {
    assert.strictEqual(value, shape, where);
  } else {
    const [got, wanted] = [value, shape].map((of) => [Array.isArray(of), ...Object.keys(of ?? {}).sort()]);
    assert.deepEqual(got, wanted, `${where}: ${JSON.stringify(value)}`);
    for (const name of Object.keys(shape)) exact(value[name], shape[name], `${where}.${name}`);
  }
}

/* ---- Waiting */

const PATIENCE_MS = 15000;

/** Until that is true, on this side. */
export async function eventually(condition) {
  for (const end = Date.now() + PATIENCE_MS; !condition();) {
    assert.ok(Date.now() < end, `never: ${condition}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

/* ---- WebSocket */

/* In the page. What happens to a socket waits here, in its order, until it is asked for. */
function install() {
  window.lines = [];
  window.openLine = async (address) => {
    const socket = new WebSocket(address);
    const line = { socket, events: [], wake: () => {} };
    const put = (event) => {
      line.events.push(event);
      line.wake();
    };
    socket.onmessage = ({ data }) => put({ text: data });
    const number = window.lines.push(line) - 1;
    await new Promise((resolve) => {
      socket.onopen = resolve;
      socket.onclose = ({ code, reason }) => {
        put({ code, reason });
        resolve();
      };
    });
    return number;
  };
  window.nextEvent = async (number, patience) => {
    const line = window.lines[number];
    if (!line.events.length) {
      await new Promise((resolve) => {
        line.wake = resolve;
        setTimeout(resolve, patience);
      });
    }
    return line.events.shift();
  };
}

/** A socket of the page's to a path of the gateway's, open, or refused already. */
export async function connect(page, path) {
  if (!await page.evaluate(() => Boolean(window.lines))) await page.evaluate(install);
  const address = new URL(path, page.url()).href.replace(/^http/, 'ws');
  return new Client(page, await page.evaluate((to) => window.openLine(to), address));
}

class Client {
  constructor(page, number) {
    this.page = page;
    this.number = number;
  }

  /** An object as JSON, or a text as it stands. */
  async send(frame) {
    const text = typeof frame === 'string' ? frame : JSON.stringify(frame);
    await this.page.evaluate(([number, data]) => window.lines[number].socket.send(data), [this.number, text]);
  }

  async sendBinary(text) {
    await this.page.evaluate(([number, data]) => window.lines[number].socket.send(new TextEncoder().encode(data)), [this.number, text]);
  }

  async #next(patience = PATIENCE_MS) {
    return this.page.evaluate(([number, ms]) => window.nextEvent(number, ms), [this.number, patience]);
  }

  /** The next frame. */
  async receive() {
    const event = await this.#next();
    assert.ok(event, 'nothing comes');
    assert.ok(event.text !== undefined, `closed: ${JSON.stringify(event)}`);
    return JSON.parse(event.text);
  }

  /** The next frame, which must have this shape; returned. */
  async expect(shape) {
    const frame = await this.receive();
    exact(frame, shape);
    return frame;
  }

  /** The frames of this shape's type up to the first of another; that one is returned last. */
  async collect(type) {
    const frames = [await this.receive()];
    while (frames.at(-1).type === type) frames.push(await this.receive());
    return frames;
  }

  async expectSilence(ms = 300) {
    assert.equal(await this.#next(ms), undefined);
  }

  /** It is closed next, with this code. */
  async expectClose(code) {
    const event = await this.#next();
    assert.equal(event && event.code, code, JSON.stringify(event));
    return event;
  }

  async close() {
    await this.page.evaluate((number) => window.lines[number].socket.close(), this.number);
    await this.expectClose(1005);
  }
}

/* ---- HTTP */

/** fetch() in the page: { status, type, body }, the body as JSON. */
export function request(page, method, path, body, headers = {}) {
  return page.evaluate(async ([method_, path_, body_, headers_]) => {
    const response = await fetch(path_, { method: method_, body: body_, headers: headers_ });
    return { status: response.status, type: response.headers.get('Content-Type'), body: await response.json() };
  }, [method, path, typeof body === 'string' || body === undefined ? body : JSON.stringify(body), headers]);
}

/** That call is answered with this status and a body of this shape; returns the body. */
export async function expectCall(page, method, path, body, status, shape) {
  const response = await request(page, method, path, body);
  exact(response, { status, type: 'application/json', body: shape }, `${method} ${path}`);
  return response.body;
}
