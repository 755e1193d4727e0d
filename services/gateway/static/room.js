/* LangBot's rooms are its sessions: their messages are numbered, and can be read over HTTP. */
import { protocols } from './parley.js';
import { ask } from './server.js';
import { complete, isUnderWay } from './transcript.js';

const BROKEN = ['lost', 'interrupted'];

/** One session's entries in the transcript. An answer's number is the next after its question's. */
export class Session {
  constructor(transcript, values) {
    const { history, memory } = protocols[values.protocol];
    this.transcript = transcript;
    this.isGroup = values.sessionType === 'group';
    this.room = history && memory.map((name) => values[name]).join(' ');
  }

  /** The answer that a message is about: the one of its number, where there are numbers; else the one under way, or the one
   * that was. Where it begins and is none of these, somebody else has asked. */
  answerOf({ type, id }) {
    const number = type === 'tool' ? undefined : id;
    const numbered = number === undefined ? undefined : this.#find(number);
    if (numbered && numbered.kind === 'answer') return numbered;
    const { transcript, room } = this;
    const entry = [transcript.underWay(), transcript.entries.findLast((one) => isUnderWay(one) || one.again)]
      .find((one) => one && (number === undefined || one.number === undefined));
    if (entry && number !== undefined) Object.assign(entry, { room, number });
    if (entry || type !== 'started') return entry;
    return transcript.add({ kind: 'answer', state: 'waiting', parts: [], unasked: true, room, number });
  }

  /** Somebody has asked; returns an entry where that is news. */
  asked({ id, text, own }) {
    const waiting = this.transcript.underWay();
    if (own) {
      this.#forgetFrom(id);
      if (waiting) this.#number(this.transcript.questionOf(waiting), id);
      return null;
    }
    return this.#known({ id, role: 'user', content: text }) ? null
      : this.transcript.add({ kind: 'other', text, room: this.room, number: id });
  }

  /** What the session holds; without what came over `connection`, which is told as it happens. True if there is news. */
  merge(messages, connection) {
    const own = messages.findIndex((message) => connection && message.connection_id === connection);
    let changed = false;
    let before = this.#beforeFirst();
    for (const message of own < 0 ? messages : messages.slice(0, own)) {
      const known = this.#known(message);
      changed = (known ? this.#complete(known, message) : true) || changed;
      before = known || this.#add(message, before);
    }
    return changed;
  }

  #find(number) {
    return this.transcript.entries.findLast((entry) => entry.room === this.room && entry.number === number);
  }

  #known({ id, role, content }) {
    const there = this.#find(id);
    if (there && (role === 'user' ? says(there, content) : there.kind === 'answer')) return there;
    if (there) this.#forgetFrom(id);
    const sent = role === 'user' && this.transcript.entries.find((entry) =>
      entry.kind === 'question' && !entry.queued && entry.room === this.room && entry.number === undefined && says(entry, content)
      && isBroken(this.#answerTo(entry)));
    if (sent) this.#number(sent, id);
    return sent;
  }

  #answerTo(question) {
    return this.transcript.entries[this.transcript.entries.indexOf(question) + 1];
  }

  #number(question, id) {
    Object.assign(question, { room: this.room, number: id });
    Object.assign(this.#answerTo(question), { room: this.room, number: id + 1 });
  }

  /* A number that comes a second time: the session was begun anew, and counts anew. */
  #forgetFrom(number) {
    for (const entry of this.transcript.entries)
      if (entry.room === this.room && entry.number >= number) entry.number = null;
  }

  /* The entry behind which the session begins. */
  #beforeFirst() {
    const { entries } = this.transcript;
    const first = entries.findIndex((entry) => entry.room === this.room);
    return first < 0 ? entries.at(-1) : entries[first - 1] || null;
  }

  #add({ id, role, content }, before) {
    const entry = role === 'user' ? { kind: this.isGroup ? 'other' : 'question', text: content }
      : { kind: 'answer', state: 'completed', parts: [{ text: content }], unasked: this.isGroup };
    return this.transcript.add({ ...entry, room: this.room, number: id }, before);
  }

  #complete(entry, { content }) {
    if (!isBroken(entry)) return false;
    complete(entry, content);
    return true;
  }
}

/* A mention may stand before a question's text. */
function says({ kind, text }, content) {
  return kind !== 'answer' && content.endsWith(text);
}

function isBroken(entry) {
  return Boolean(entry) && entry.kind === 'answer' && (isUnderWay(entry) || BROKEN.includes(entry.state));
}

/** A call of LangBot's over HTTP, for the session of a connection: its data. Throws where there is none; an error with its
 * `status` where it is refused. */
export async function call(connection, method, action) {
  const response = await ask(connection.address(), `${action}/${connection.options.sessionType}`, { method });
  if (!response.ok) throw Object.assign(new Error('refused'), { status: response.status });
  return (await response.json()).data;
}
