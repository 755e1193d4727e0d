/* What the browser tests share: a real parley behind the pages, a real Chromium in front, screenshots and axe. */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { after, beforeEach } from 'node:test';
import axe from 'axe-core';
import { chromium } from 'playwright-core';

const TOP = new URL('../..', import.meta.url).pathname;
export const BUILD = process.env.PARLEY_BUILD || join(TOP, 'build');
const PICTURES = join(BUILD, 'browser');
export const WIDE = { width: 1280, height: 800 };
export const PHONE = { width: 390, height: 800 };
/* What the console of a page says of a line that breaks, or was never there. */
export const BROKEN = /WebSocket connection|ERR_(CONNECTION|SOCKET_NOT_CONNECTED|EMPTY_RESPONSE)/;

/* ---- The end of a file's tests, and a bound for each */

const PATIENCE_MS = 90000;
const ends = [];
let watchdog;

/** `stop` is called when all tests of the file have ended, the last given first, whatever the others throw: what is left
 * running would keep node waiting. */
export const atEnd = (stop) => ends.unshift(stop);

after(async () => {
  watch('the end');
  const errors = [];
  for (const stop of ends) await Promise.resolve().then(stop).catch((error) => errors.push(error));
  if (errors.length) throw errors.length > 1 ? new AggregateError(errors, errors.map(String).join('\n')) : errors[0];
});

/* node can bound a file, but not its tests one by one: a test that hangs is to be named. */
function watch(name) {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => {
    console.error(`This hangs: ${name}`);
    process.exit(1); /* the children see their input end */
  }, PATIENCE_MS);
  watchdog.unref();
}
watch('the beginning');
beforeEach(({ name }) => watch(name));

/* ---- What is started */

/** A file for as long as the tests take; its path. */
export function jsonFile(name, value) {
  const directory = mkdtempSync(join(tmpdir(), 'parley-browser-'));
  atEnd(() => rmSync(directory, { recursive: true }));
  const path = join(directory, name);
  writeFileSync(path, JSON.stringify(value));
  return path;
}

/** A whole parley, with the demo model unless `settings` name another. `tell('stop gateway')` (at once), `tell('end
 * gateway')` (when it has finished) and `tell('start gateway')` when that is wanted. */
export async function serve(settings = {}) {
  const words = Object.entries(settings).map(([name, value]) => `${name}=${value}`);
  const child = spawn('/usr/bin/python3', [join(TOP, 'tests/support/serve.py'), ...words], {
    stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, PARLEY_BUILD: BUILD, PYTHONDONTWRITEBYTECODE: '1' },
  });
  const ended = new Promise((resolve) => { child.on('exit', resolve); });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    assert.ok(!done, 'serve.py ended');
    return JSON.parse(value);
  };
  atEnd(async () => {
    child.stdin.end();
    assert.equal(await ended, 0, 'parley did not end cleanly');
  });
  const { url } = await next();
  return {
    url,
    socket: url.replace(/^http/, 'ws'),
    async tell(command) {
      child.stdin.write(`${command}\n`);
      assert.deepEqual(await next(), { done: command });
    },
  };
}

/** A Chromium of its own. `page(path)` opens one page, and notes all that goes wrong on it in `troubles`, but for what is
 * `expected`; there must be none at the end. */
export async function browse(base, expected = BROKEN) {
  const directory = mkdtempSync(join(tmpdir(), 'parley-browser-'));
  const context = await chromium.launchPersistentContext(directory, {
    executablePath: '/usr/bin/chromium', headless: true, viewport: WIDE, locale: 'en-GB', colorScheme: 'light',
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync'],
  });
  context.setDefaultTimeout(20000);
  const troubles = [];
  const note = (text) => { if (!expected.test(text)) troubles.push(text); };
  atEnd(async () => {
    await context.close();
    rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 }); /* Chromium's last words */
    assert.deepEqual(troubles, []);
  });
  return {
    context,
    troubles,
    async page(path, prepare = () => {}) {
      const page = await context.newPage();
      page.on('pageerror', (error) => note(`${path}: ${error.message}`));
      page.on('console', (message) => {
        if (message.type() === 'error') note(`${path}: ${message.text()}`);
      });
      page.on('request', (request) => {
        if (!request.url().startsWith(base) && !/^(data|blob|file):/.test(request.url())) note(`${path} asks ${request.url()}`);
      });
      await prepare(page);
      await page.goto(/^\w+:/.test(path) ? path : base + path);
      return page;
    },
  };
}

/** Pictures of the page as it is, in light and dark, wide and on a phone, each without a finding of axe. */
export async function look(page, name) {
  mkdirSync(PICTURES, { recursive: true });
  for (const [size, viewport] of Object.entries({ wide: WIDE, phone: PHONE })) {
    await page.setViewportSize(viewport);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await page.screenshot({ path: join(PICTURES, `${name}-${size}-${colorScheme}.png`) });
      await accessible(page, `${name}, ${size}, ${colorScheme}`);
    }
    assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than ${size}`);
  }
  await page.setViewportSize(WIDE);
  await page.emulateMedia({ colorScheme: 'light' });
}

async function accessible(page, what) {
  if (!await page.evaluate(() => Boolean(window.axe))) await page.evaluate(axe.source);
  const { violations } = await page.evaluate(() => window.axe.run());
  const findings = violations.flatMap(({ id, nodes }) => nodes.map((node) => `${id}: ${node.target} ${node.failureSummary}`));
  assert.deepEqual(findings, [], what);
}
