/* The conversation on the screen: one element for each entry of the transcript, made to look like it by show(). */
import { MarkdownText } from './markdown.js';
import { isUnderWay, textOf } from './transcript.js';
import { t } from './words.js';

const AT_THE_END_PX = 48;
const ICONS = {
  running: '<circle cx="12" cy="12" r="8" pathLength="100" stroke-dasharray="70 30"/>',
  done: '<path d="m6 12.500 4 4 8-9"/>',
  failed: '<path d="m7 7 10 10M17 7 7 17"/>',
};

/** element('p', 'note', 'text', child…) */
export function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export class View {
  constructor({ scroll, log, latest }) {
    this.scroll = scroll;
    this.log = log;
    this.latest = latest;
    this.shown = new Map(); /* by entry */
    this.following = true;
    this.top = 0;
    scroll.addEventListener('scroll', () => this.#scrolled(), { passive: true });
    latest.addEventListener('click', () => this.toEnd());
    new ResizeObserver(() => this.#follow()).observe(log);
    new ResizeObserver(() => this.#follow()).observe(scroll);
  }

  /** Shows an entry as it now is; `after`: the one it stands behind, where it isn't the last. */
  show(entry, after) {
    let shown = this.shown.get(entry);
    if (!shown) {
      shown = entry.kind === 'answer' ? new AnswerView() : new PlainView(entry);
      this.shown.set(entry, shown);
      const before = after && this.shown.get(after);
      if (before) before.root.after(shown.root);
      else this.log.append(shown.root);
    }
    shown.show(entry);
  }

  /** Says below an answer that nothing comes, until it is shown again. */
  pause(entry) {
    const shown = this.shown.get(entry);
    if (shown) shown.pause();
  }

  remove(entry) {
    const shown = this.shown.get(entry);
    if (shown) shown.root.remove();
    this.shown.delete(entry);
  }

  /** Shows these and nothing else, anew. */
  reset(entries) {
    this.log.replaceChildren();
    this.shown.clear();
    for (const entry of entries) this.show(entry);
  }

  toEnd() {
    this.following = true;
    this.#follow();
  }

  #scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.scroll;
    const atTheEnd = scrollHeight - scrollTop - clientHeight < AT_THE_END_PX;
    /* Only a person scrolls up; the text that grows below is no reason to stop following it. */
    if (atTheEnd) this.following = true;
    else if (scrollTop < this.top) this.following = false;
    this.top = scrollTop;
    this.latest.hidden = this.following;
  }

  #follow() {
    if (this.following) this.scroll.scrollTop = this.scroll.scrollHeight;
    else this.#scrolled();
  }
}

class PlainView {
  constructor({ kind, text = '' }) {
    this.root = element('article', kind);
    if (kind === 'fresh') {
      this.root.append(element('p', '', t('fresh')));
      return;
    }
    const name = { question: 'you', other: 'other', operator: 'operator' }[kind];
    this.root.append(element('h2', kind === 'question' ? 'unseen' : 'who', t(name)), element('p', 'bubble', text));
  }

  show({ queued }) {
    this.root.classList.toggle('queued', Boolean(queued));
    if (queued && !this.note) this.root.append(this.note = element('p', 'note', t('queued')));
    if (!queued && this.note) this.note.remove();
  }
}

class AnswerView {
  constructor() {
    this.root = element('article', 'answer', element('h2', 'unseen', t('parley')));
    this.body = element('div', 'parts');
    this.end = element('div', 'end');
    this.root.append(this.body, this.end);
    this.parts = [];
  }

  show(answer) {
    const running = isUnderWay(answer);
    if (this.pausing) this.pausing.remove();
    this.root.dataset.state = answer.state;
    this.root.setAttribute('aria-busy', String(running));
    if (this.parts.some(({ part }, i) => part !== answer.parts[i])) this.#begin();
    answer.parts.forEach((part, i) => this.#showPart(part, i, running && i === answer.parts.length - 1));
    this.#showEnd(answer);
  }

  pause() {
    this.pausing = element('p', 'note', t('pausing'));
    this.end.append(this.pausing);
  }

  /* Other parts than were shown: the text was corrected. */
  #begin() {
    this.body.replaceChildren();
    this.parts = [];
  }

  #showPart(part, i, growing) {
    if (!this.parts[i]) {
      const view = new (part.tool ? ToolView : TextView)();
      this.parts[i] = { part, view };
      this.body.append(view.root);
    }
    this.parts[i].view.show(part, growing);
  }

  /* What stands below an answer: that it is waited for, how it ended, what can be done. */
  #showEnd(answer) {
    const said = `${answer.state} ${answer.parts.length} ${answer.error}`;
    if (said === this.said) return;
    this.said = said;
    this.end.replaceChildren(...endOf(answer));
  }
}

function action(name, words) {
  const button = element('button', 'quiet', words);
  button.type = 'button';
  button.dataset.action = name;
  return button;
}

function sentence(text) {
  const trimmed = String(text ?? '').trim();
  return /[.!?。！？]$/.test(trimmed) ? trimmed : `${trimmed}.`;
}

/* Where it was this person who asked. */
function again({ unasked }, words) {
  return unasked ? [] : [action('again', t(words))];
}

function trouble(answer, text, words) {
  return [element('div', 'trouble', element('p', '', text), ...again(answer, words))];
}

function endOfCompleted(answer) {
  if (textOf(answer).trim()) return [action('copy', t('copyAnswer'))];
  return answer.unasked ? [element('p', 'note', t('noAnswer'))] : trouble(answer, t('noAnswer'), 'tryAgain');
}

function endOf(answer) {
  const { state, parts, error } = answer;
  const lastIsTool = parts.length > 0 && parts.at(-1).tool;
  switch (state) {
    case 'waiting': case 'running': {
      if (parts.length && !lastIsTool) return [];
      const dots = element('p', 'waiting', element('span', 'unseen', t('waiting')), element('i'), element('i'), element('i'));
      return [dots];
    }
    case 'stopping': return [element('p', 'note', t('stopping'))];
    case 'completed': return endOfCompleted(answer);
    case 'cancelled': return [element('p', 'note', t('stopped')), ...again(answer, 'askAgain')];
    case 'noted': return [element('p', 'note', t('noted'))];
    case 'failed': return trouble(answer, t('failed', { error: sentence(error) }), 'tryAgain');
    case 'offline': return trouble(answer, t('failedOffline'), 'tryAgain');
    case 'lost': return trouble(answer, t('lost'), 'askAgain');
    default: return trouble(answer, t('interrupted'), 'askAgain');
  }
}

class TextView {
  constructor() {
    this.root = element('div', 'text');
    this.markdown = new MarkdownText(this.root, { copy: t('copy') });
  }

  show({ text }, growing) {
    if (growing) this.markdown.set(text);
    else this.markdown.finish(text);
  }
}

class ToolView {
  constructor() {
    this.sign = element('span', 'sign');
    this.name = element('b');
    this.brief = element('span', 'brief');
    this.state = element('span', 'state');
    this.details = element('div', 'details');
    this.root = element('details', 'tool', element('summary', '', this.sign, this.name, this.brief, this.state), this.details);
  }

  /* What belongs to a tool's status comes with it. */
  show({ tool }) {
    if (this.root.dataset.status === tool.status) return;
    this.root.dataset.status = tool.status;
    this.sign.innerHTML = `<svg viewBox="0 0 24 24" aria-hidden="true">${ICONS[tool.status] || ICONS.running}</svg>`;
    this.name.textContent = tool.name;
    this.brief.textContent = brief(tool.arguments);
    this.state.textContent = t(tool.status === 'failed' ? 'toolFailed' : tool.status);
    this.details.replaceChildren(
      element('h3', '', t('arguments')), json(tool.arguments), element('h3', '', t('result')), json(tool.result));
  }
}

/* A tool's arguments in a few words. */
function brief(value) {
  return Object.values(value || {}).map((one) => (typeof one === 'string' ? one : JSON.stringify(one))).join(', ');
}

function json(value) {
  const text = value === undefined ? t('noResult') : typeof value === 'string' ? value : JSON.stringify(value, null, 2);
  const pre = element('pre', '', text);
  pre.tabIndex = 0;
  return pre;
}
