/* Markdown on the chat page while it is being written, with a scripted server: every frame is the test's. */
import assert from 'node:assert/strict';
import { before, test } from 'node:test';
import { PHONE, WIDE, browse, look, serve } from './support.js';

let parley, browser;

before(async () => {
  parley = await serve();
  browser = await browse(parley.url);
});

/* A page whose questions this test answers: `chunk(text)`, `end()`, `frame(object)`. */
async function scripted() {
  let socket;
  let asked;
  const question = new Promise((resolve) => { asked = resolve; });
  const page = await browser.page('/', (fresh) => fresh.routeWebSocket(/\/ws\/agent/, (route) => {
    socket = route;
    route.onMessage((text) => { if (JSON.parse(text).query) asked(); });
    route.send(JSON.stringify({ type: 'connected', connection_id: 'x', message: '' }));
  }));
  await page.waitForSelector('#connection[data-state="connected"]');
  await page.fill('#question', 'go');
  await page.keyboard.press('Enter');
  await question;
  const frame = (object) => socket.send(JSON.stringify({ timestamp: 0, ...object }));
  frame({ type: 'stream_start' });
  return {
    page,
    frame,
    chunk: (content) => frame({ type: 'stream_chunk', content }),
    async end() {
      frame({ type: 'stream_end' });
      await page.waitForSelector('.answer[data-state="completed"]');
    },
  };
}

const TEXT = `# A heading

A paragraph with **strong**, *soft* and \`code\` words, and [a link](https://example.org/).

1. one
2. two
   - inner

| a | b |
|---|--:|
| 1 | 2 |

\`\`\`python
def double(x):

    return "**" + x
\`\`\`

- [x] done

The end.`;

test('marks are not seen while they are being written, and blocks stay where they are', async () => {
  const { page, chunk, end } = await scripted();
  await page.evaluate(() => {
    window.seen = [];
    const root = document.querySelector('.answer .parts');
    new MutationObserver(() => {
      const copy = root.cloneNode(true);
      for (const code of copy.querySelectorAll('figure')) code.remove();
      window.seen.push(copy.textContent);
      window.first ||= root.querySelector('h3');
    }).observe(root, { subtree: true, childList: true, characterData: true });
  });
  for (const letter of TEXT) {
    chunk(letter);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(done)));
  }
  await end();
  const seen = await page.evaluate(() => window.seen);
  assert.ok(seen.length > 50, `${seen.length} changes`);
  for (const text of seen) assert.doesNotMatch(text, /\*\*|`|\]\(|\||^#/, text);
  assert.ok(await page.evaluate(() => window.first === document.querySelector('.answer h3')), 'the first block was never made anew');
  assert.deepEqual(await page.locator('.answer .text > div > *').evaluateAll((all) => all.map((one) => one.localName)),
    ['h3', 'p', 'ol', 'div', 'figure', 'ul', 'p']);
  assert.equal(await page.textContent('.answer figcaption span'), 'python');
  assert.equal((await page.textContent('.answer code:has(.token)')).trimEnd(), 'def double(x):\n\n    return "**" + x');
  await look(page, 'chat-markdown');
});

test('a code block is one while it is open, and can be copied', async () => {
  const { page, chunk, end } = await scripted();
  chunk('```c\nint main(void)\n{\n\n    ret');
  await page.waitForSelector('.answer figure code .token');
  assert.equal(await page.locator('.answer figure').count(), 1);
  assert.match(await page.textContent('.answer figure code'), /ret$/);
  chunk('urn 0;\n}\n```');
  await end();
  await browser.context.grantPermissions(['clipboard-read', 'clipboard-write']);
  await page.click('.answer .copy');
  assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^int main\(void\)\n\{\n\n {4}return 0;\n\}/);
});

/* The code in the answer, and the names of what else is there. */
const blocks = (page) => page.locator('.answer .text :is(p, h3, strong, code)').evaluateAll((all) => all.map((one) =>
  (one.localName === 'code' ? one.textContent.replace(/\n$/, '') : one.localName)));

test('a code block that is never closed stays one, after a reload too', async () => {
  const code = Array.from({ length: 40 }, (_, i) => `# step ${i}\n    call(__x__, "**")`).join('\n');
  const { page, chunk, frame } = await scripted();
  chunk(`hello\n\n\`\`\`python\n${code}`);
  await page.waitForSelector('.answer figure code .token');
  await page.keyboard.press('Escape');
  frame({ type: 'cancelled' });
  await page.waitForSelector('.answer[data-state="cancelled"]');
  assert.deepEqual(await blocks(page), ['p', code]);
  await page.reload();
  await page.waitForSelector('.answer[data-state="cancelled"]');
  assert.deepEqual(await blocks(page), ['p', code]);
});

for (const [where, text, expected] of [
  ['at the end', 'hello\n\n```js\nlet a=1;\nlet b=2;', ['p', 'let a=1;\nlet b=2;']],
  ['in a list', '- one\n- two\n  ```js\n  # a\n\n    __b__', ['# a\n\n  __b__']],
  ['in a quote', '> ```js\n> # a\n>   __b__', ['# a\n  __b__']],
  ['with its head alone', '```js', ['']],
]) {
  test(`a code block that is never closed is one ${where}`, async () => {
    const { page, chunk, end } = await scripted();
    chunk(text);
    await end();
    assert.deepEqual(await blocks(page), expected);
  });
}

test('what is nested deeply stays on the page, and can be read', async () => {
  const { page, chunk, end } = await scripted();
  for (const marks of ['> '.repeat(60), '- '.repeat(60), '> - '.repeat(30), '1. '.repeat(60)]) chunk(`${marks}so deep that one might not see it\n\n***\n\n`);
  chunk('- [x] done, and told at such a length that the line breaks, on a phone at least\n  - [ ] within\n');
  await end();
  for (const { width, height } of [PHONE, WIDE]) {
    await page.setViewportSize({ width, height });
    const within = await page.locator('.answer').evaluate((answer) => {
      const { left, right } = answer.getBoundingClientRect();
      return [...answer.querySelectorAll('.text > div > :is(ul, ol, blockquote)')].map((block) => {
        const deepest = [...block.querySelectorAll('*')].at(-1).getBoundingClientRect();
        return deepest.left >= left && deepest.right <= right + 1 && deepest.width > 150;
      });
    });
    assert.deepEqual(within.slice(0, 4), [true, true, true, true], `${width} wide`);
  }
  await look(page, 'chat-nested');
});

test('what is nested too deeply to be followed is shown as it was written', async () => {
  const { page, chunk, end } = await scripted();
  chunk(`${'> '.repeat(5000)}so deep`);
  await end();
  assert.match(await page.innerText('.answer .text'), /^> > .*so deep$/);
});

test('a stranger’s text stays text', async () => {
  const { page, chunk, end } = await scripted();
  chunk('<script>window.bad = 1</script><img src=x onerror="window.bad = 1"> <b>bold</b>\n\n');
  chunk('[click](javascript:window.bad=1) ![pixel](https://elsewhere.example/p.png) [data](data:text/html,x)\n\n');
  chunk('<svg><style><a title="</style><img src onerror=window.bad=1>">\n\n<form id=composer><input name=x></form>\n\n');
  chunk('```"><img src=x onerror=window.bad=1>\ncode\n```\n\n```constructor\nx\n```\n');
  await end();
  assert.equal(await page.evaluate(() => window.bad), undefined);
  assert.equal(await page.locator('.answer .parts :is(script, img, svg, style, form, b)').count(), 0);
  assert.match(await page.innerText('.answer .parts'), /<script>window\.bad = 1<\/script>/);
  const links = await page.locator('.answer .parts a').evaluateAll((all) => all.map((one) => one.getAttribute('href')));
  assert.deepEqual(links.filter((href) => href && !href.startsWith('https:')), []);
});

test('a selection in a finished block stays while the rest is written', async () => {
  const { page, chunk, end } = await scripted();
  chunk('The first paragraph.\n\nThe second');
  await page.waitForFunction(() => document.querySelectorAll('.answer p').length === 2);
  await page.evaluate(() => getSelection().selectAllChildren(document.querySelector('.answer p')));
  for (let i = 0; i < 20; i++) chunk(` word ${i}`);
  await end();
  assert.equal(await page.evaluate(() => String(getSelection())), 'The first paragraph.');
});

test('a tool that fails is shown so, between the words', async () => {
  const { page, chunk, frame, end } = await scripted();
  chunk('Before.');
  frame({ type: 'tool', id: '1', name: 'lookup', status: 'running', arguments: { key: 'x' } });
  await page.waitForSelector('.tool[data-status="running"]');
  await look(page, 'chat-tool-running');
  frame({ type: 'tool', id: '1', name: 'lookup', status: 'failed', result: 'no such key' });
  chunk('After.');
  await end();
  assert.equal(await page.locator('.tool[data-status="failed"]').count(), 1);
  assert.deepEqual(await page.locator('.parts > *').evaluateAll((all) => all.map((one) => one.className)), ['text', 'tool', 'text']);
});

test('a long answer stays quick', async () => {
  const { page, chunk, end } = await scripted();
  for (let i = 0; i < 400; i++) chunk(`Paragraph **${i}** with \`some\` words in it, and so on and so forth.\n\n`);
  chunk(`\`\`\`js\n${'const x = [1, 2, 3]; // a line\n'.repeat(2000)}\`\`\``);
  const start = Date.now();
  await end();
  await page.waitForFunction(() => document.querySelectorAll('.answer p').length >= 400);
  assert.ok(Date.now() - start < 5000);
});
