/* What was said in each conversation, kept for this tab (sessionStorage), so that a reload finds it again. Entries are plain
 * objects:
 *
 *   { id, kind: 'question', text, queued? }      what this person asked; `queued`: it waits for the answer before it
 *   { id, kind: 'answer', state, parts, error? } state: waiting, running, stopping, then completed, failed, offline, lost,
 *                                                interrupted, cancelled or noted; parts: { text } or { tool }, in their order;
 *                                                `unasked`: to somebody else; `again`: it is to be told anew, from its
 *                                                beginning, and is in this state if it is not
 *   { id, kind: 'other' | 'operator', text }     what others said
 *   { id, kind: 'fresh' }                        from here on the other side remembers nothing of the above
 *
 * In LangBot's sessions they also bear `room`, the session, and `number`, theirs in it.
 */
const KEY = 'parley.transcript.';
/* To write it all takes some 50 ms where it is long: seldom, while an answer comes. Leaving the page writes it anyway. */
const SAVE_AFTER_MS = 3000;

const UNDER_WAY = ['waiting', 'running', 'stopping'];
export const isUnderWay = (entry) => entry.kind === 'answer' && UNDER_WAY.includes(entry.state);
export const textOf = (answer) => answer.parts.map((part) => part.text || '').join('');

export class Transcript {
  constructor(name) {
    this.#read(name);
    addEventListener('pagehide', () => this.#write());
    /* A phone tells no more than this of a page that it is about to end. */
    addEventListener('visibilitychange', () => this.timer && this.#write());
  }

  /** Goes over to the conversation of that name, and leaves this one as it is. */
  open(name) {
    this.#write();
    this.#read(name);
  }

  /** Adds an entry at the end, or behind another, or (null) before all others. */
  add(entry, after = this.entries.at(-1)) {
    const added = { id: this.next++, ...entry };
    const at = this.entries.indexOf(after) + 1;
    this.entries.splice(at, 0, added);
    this.changed();
    return added;
  }

  remove(entry) {
    this.entries = this.entries.filter((other) => other !== entry);
    this.changed();
  }

  clear() {
    this.entries = [];
    this.resume = undefined;
    this.changed();
  }

  /** The question that an answer answers. */
  questionOf(answer) {
    const before = this.entries.slice(0, this.entries.indexOf(answer));
    return before.reverse().find((entry) => entry.kind === 'question');
  }

  /** The answer to this person's question that has not ended. */
  underWay() {
    return this.entries.find((entry) => isUnderWay(entry) && !entry.unasked);
  }

  /** To be called when an entry has changed. */
  changed() {
    if (!this.timer) this.timer = setTimeout(() => this.#write(), SAVE_AFTER_MS);
  }

  #read(name) {
    const kept = read(name);
    this.name = name;
    this.entries = kept.entries || [];
    this.resume = kept.resume; /* the token to go on with */
    this.next = Math.max(0, ...this.entries.map((entry) => entry.id)) + 1;
  }

  #write() {
    clearTimeout(this.timer);
    this.timer = 0;
    let entries = this.entries;
    while (!write(this.name, { entries, resume: this.resume }) && entries.length) entries = entries.slice(Math.ceil(entries.length / 2));
  }
}

/** More text of an answer, which is now `text`. One that is told again is left as it is until something new comes. */
export function tellText(answer, { text, delta }) {
  if (!answer.again) addText(answer, delta);
  else if (!textOf(answer).startsWith(text)) {
    setText(answer, text);
    delete answer.again;
  }
}

/* Behind the tools that have run. */
function addText(answer, delta) {
  const last = answer.parts.at(-1);
  if (last && last.text !== undefined) last.text += delta;
  else answer.parts.push({ text: delta });
}

/** An answer's end, with all of its text; what was wrong with it before is past. */
export function complete(answer, text) {
  setText(answer, text);
  answer.state = 'completed';
  delete answer.again;
  delete answer.error;
}

/* Adds what is missing, and corrects what differs. */
function setText(answer, text) {
  const had = textOf(answer);
  if (text.startsWith(had)) {
    if (text.length > had.length) addText(answer, text.slice(had.length));
    return;
  }
  answer.parts = [...answer.parts.filter((part) => part.tool), { text }];
}

/** A tool's step: a new one, or news of one that is there. */
export function setTool(answer, { id, name, status, ...rest }) {
  const there = answer.parts.find((part) => part.tool && part.tool.id === id);
  if (there) Object.assign(there.tool, { status, ...rest });
  else answer.parts.push({ tool: { id, name, status, ...rest } });
}

function read(name) {
  try {
    return JSON.parse(sessionStorage.getItem(KEY + name)) || {};
  } catch {
    return {};
  }
}

function write(name, kept) {
  try {
    if (kept.entries.length || kept.resume) sessionStorage.setItem(KEY + name, JSON.stringify(kept));
    else sessionStorage.removeItem(KEY + name);
    return true;
  } catch {
    return false;
  }
}
