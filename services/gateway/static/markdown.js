/* Markdown as it is being written. What can't change any more is rendered once and left alone; only the last block is
 * rendered again, and then only what differs in it is touched: so nothing flickers, and a selection stays.
 *
 * A model's text is a stranger's: HTML in it is shown as text, images become links, and DOMPurify has the last word.
 * Uses marked, DOMPurify and Prism, which libraries.js brings. */
const { marked, DOMPurify, Prism } = globalThis;

const TAGS = ['p', 'br', 'hr', 'h3', 'h4', 'h5', 'strong', 'em', 'del', 'code', 'pre', 'blockquote', 'ul', 'ol', 'li', 'a',
  'table', 'thead', 'tbody', 'tr', 'th', 'td', 'input'];
const ATTRIBUTES = ['href', 'title', 'start', 'align', 'class', 'type', 'checked', 'disabled'];
const PURIFY = {
  ALLOWED_TAGS: TAGS, ALLOWED_ATTR: ATTRIBUTES, ALLOWED_URI_REGEXP: /^(https?|mailto):/i, ALLOW_DATA_ATTR: false,
  ADD_URI_SAFE_ATTR: ['start', 'align', 'type', 'checked', 'disabled'], RETURN_DOM_FRAGMENT: true,
};
/* A longer code block gets its colours when it is complete. */
const HIGHLIGHT_MAX = 20000;

const escape = (text) => text.replace(/[&<>"]/g, (c) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[c]);

const renderer = {
  html: (text) => escape(text),
  image: (href, title, text) => `<a href="${escape(href || '')}">${text || escape(href || '')}</a>`,
  /* The page's own headings are above these. */
  heading(text, level) {
    const name = level <= 2 ? 'h3' : level === 3 ? 'h4' : 'h5';
    return `<${name}>${text}</${name}>\n`;
  },
};

/* A code block that is not closed goes on to the end of what it is in (CommonMark, 4.5); marked sees one only if a newline
 * is there. */
const { fences } = marked.Tokenizer.prototype;
const tokenizer = {
  fences(text) {
    return /^ {0,3}(```|~~~)/.test(text) ? fences.call(this, withNewline(text)) : undefined;
  },
};
marked.use({ renderer, tokenizer, gfm: true, mangle: false, headerIds: false });

const withNewline = (text) => (text.endsWith('\n') ? text : `${text}\n`);

/* Line starts that would make something else of the block before them until they are complete, and are hidden until
 * then: "-" makes a heading of a paragraph, "`" is the beginning of a code block. */
const UNDECIDED = /(^|\n)[ \t]*([-=*_+]+|#+|`{1,3}|~{1,3}|\d{1,3}[.)]?|>)[ \t]*$/;
const HALF_LINK = /(^|[\s(*])!?\[([^\]\n]*)(\](\([^)\n]*)?)?$/;

/* The last block as it may be shown while it is unfinished: what is still open in it is closed, so that its marks are
 * not seen for a moment. */
function mend(text, type) {
  const fences = (text.match(/^[ \t]*(```|~~~)/gm) || []).length;
  if (fences > 0 && fences % 2 === 0 && /\n[ \t]*(```|~~~)\s*$/.test(text)) return text;
  if (fences % 2 === 1) return `${text.replace(/\n[ \t]*[`~]{1,3}$/, '')}\n`;
  if (type === 'paragraph' && /^[ \t]*\|/.test(text)) return ''; /* a table's head, not yet known to be one */
  let mended = text.replace(UNDECIDED, '$1').replace(HALF_LINK, '$1$2');
  for (const mark of ['`', '**', '~~']) {
    if (mended.slice(mended.lastIndexOf('\n\n') + 1).split(mark).length % 2 === 1) continue;
    mended = mended.endsWith(mark) ? mended.slice(0, -mark.length) : mended.trimEnd() + mark;
  }
  return mended;
}

/* As marked will do, so that positions in its tokens are positions in the text. */
function normalize(text) {
  return text.replace(/\r\n?/g, '\n').replace(/^[ \t]+/gm, (lead) => lead.replace(/\t/g, '    '));
}

function copyButton(label) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy';
  button.dataset.copy = 'code';
  button.textContent = label;
  return button;
}

function colour(code, language) {
  const grammar = Object.hasOwn(Prism.languages, language) && Prism.languages[language];
  if (grammar && typeof grammar === 'object') code.innerHTML = Prism.highlight(code.textContent, grammar, language);
}

/* A code block gets a head with its language and a button that copies it; a wide table its own scrolling. */
function dress(fragment, { copy, open }) {
  for (const pre of fragment.querySelectorAll('pre')) {
    const code = pre.firstElementChild || pre;
    const language = (/language-([^\s]+)/.exec(code.className) || [])[1]?.toLowerCase() || '';
    code.className = '';
    if (!open || code.textContent.length < HIGHLIGHT_MAX) colour(code, language);
    const figure = document.createElement('figure');
    const head = document.createElement('figcaption');
    const name = document.createElement('span');
    name.textContent = language || 'text';
    head.append(name, copyButton(copy));
    pre.replaceWith(figure);
    pre.tabIndex = 0;
    figure.append(head, pre);
  }
  for (const table of fragment.querySelectorAll('table')) {
    const box = document.createElement('div');
    box.className = 'wide';
    box.tabIndex = 0;
    table.replaceWith(box);
    box.append(table);
  }
  for (const link of fragment.querySelectorAll('a')) {
    link.target = '_blank';
    link.rel = 'noopener noreferrer nofollow';
  }
  for (const box of fragment.querySelectorAll('input')) box.setAttribute('aria-label', box.checked ? '✓' : '–');
}

const BLOCKS = 'ul, ol, li, blockquote, p, h3, h4, h5, figure, pre, pre > code, .wide, table, thead, tbody, tr, td, th';

/* The caret stands at the very end of the text. */
function placeCaret(fragment) {
  let end = fragment;
  while (end.lastElementChild && end.lastElementChild.matches(BLOCKS)) end = end.lastElementChild;
  const caret = document.createElement('span');
  caret.className = 'caret';
  /* marked ends code with a newline, after which the caret would have a line to itself */
  if (end.localName === 'code' && end.lastChild && end.lastChild.nodeType === Node.TEXT_NODE)
    end.lastChild.data = end.lastChild.data.replace(/\n$/, '');
  end.append(caret);
}

/* Makes `now` what `next` is, touching only what differs. */
function patch(now, next) {
  const wanted = [...next.childNodes];
  while (now.childNodes.length > wanted.length) now.lastChild.remove();
  wanted.forEach((node, i) => {
    const old = now.childNodes[i];
    if (!old) now.append(node);
    else if (old.nodeName !== node.nodeName) old.replaceWith(node);
    else if (old.nodeType === Node.TEXT_NODE) patchText(old, node.data);
    else {
      patchAttributes(old, node);
      patch(old, node);
    }
  });
}

function patchText(old, data) {
  if (old.data === data) return;
  if (data.startsWith(old.data)) old.appendData(data.slice(old.data.length));
  else old.data = data;
}

function patchAttributes(old, node) {
  for (const { name } of [...old.attributes]) if (!node.hasAttribute(name)) old.removeAttribute(name);
  for (const { name, value } of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
}

/* What is nested more deeply than marked can follow stays as it was written. */
function lex(markdown) {
  try {
    return marked.lexer(markdown);
  } catch {
    return [{ type: 'paragraph', raw: markdown }];
  }
}

function toHtml(markdown) {
  try {
    return marked.parse(markdown);
  } catch {
    return `<p>${escape(markdown)}</p>`;
  }
}

function render(markdown, options) {
  const fragment = DOMPurify.sanitize(toHtml(markdown), PURIFY);
  dress(fragment, options);
  return fragment;
}

/** One text that grows, in an element of its own. `copy`: the words on a button that copies code. */
export class MarkdownText {
  constructor(element, { copy }) {
    this.element = element;
    this.copy = copy;
    this.text = '';
    this.settled = 0; /* so much of the text is in blocks that won't change */
    this.open = null; /* the element of the block that may */
    this.complete = false;
    this.timer = 0;
    this.cost = 0;
  }

  /** All of the text so far. It appears with the next frame, or a little later where rendering is slow. */
  set(text) {
    this.#take(text);
    if (this.timer) return;
    const wait = this.cost > 6 ? this.cost * 3 : 0;
    this.timer = setTimeout(() => requestAnimationFrame(() => this.#update(false)), wait);
  }

  /** The text is complete. */
  finish(text) {
    this.#take(text);
    this.#update(true);
  }

  /* What was given up may be told again, and what was told be corrected: blocks that are settled can't grow. */
  #take(text) {
    if (this.complete ? text !== this.text : !text.startsWith(this.text)) {
      this.element.replaceChildren();
      Object.assign(this, { settled: 0, open: null, complete: false });
    }
    this.text = text;
  }

  #update(complete) {
    if (this.complete) return;
    this.complete = complete;
    this.timer = 0;
    const start = performance.now();
    const blocks = this.#split(complete);
    for (const block of blocks.settled) this.#settle(block);
    this.#showOpen(blocks.open);
    this.cost = performance.now() - start;
  }

  /* All blocks but the last are as they will be: what follows can only join the last one. */
  #split(complete) {
    const text = normalize(this.text);
    const tokens = lex(withNewline(text.slice(this.settled)));
    let last = tokens.length;
    if (!complete) while (last > 0 && tokens[--last].type === 'space');
    const settled = tokens.slice(0, last);
    this.settled += settled.reduce((sum, token) => sum + token.raw.length, 0);
    const open = complete ? '' : text.slice(this.settled);
    return {
      settled: settled.filter((token) => token.type !== 'space').map((token) => token.raw),
      open: open && mend(open, tokens[last].type),
    };
  }

  #settle(markdown) {
    const block = this.open || this.#block();
    this.open = null;
    patch(block, render(markdown, { copy: this.copy }));
  }

  #showOpen(markdown) {
    if (this.complete) return;
    const fragment = render(markdown, { copy: this.copy, open: true });
    placeCaret(fragment);
    this.open = this.open || this.#block();
    patch(this.open, fragment);
  }

  #block() {
    const block = document.createElement('div');
    this.element.append(block);
    return block;
  }
}
