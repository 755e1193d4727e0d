/**
 * parley.js: one connection to a parley gateway, in any of the five protocols it speaks. No dependencies, no build.
 *
 *   import { connect } from './parley.js';
 *
 *   const chat = connect({ protocol: 'agent_engine' });
 *   chat.onState = ({ state, attempt, tries }) => …;
 *   chat.onMessage = (message) => …;
 *   chat.send('What is 123 + 456?');
 *
 * `connect(options)` returns a `Connection` that keeps itself open. Options, all of them optional:
 *
 *   protocol      'agent_engine' (default), 'yychat', 'contact', 'langbot' or 'minimal'
 *   url           ws:// or wss:// address of the gateway, with a path prefix where there is one; by default the one
 *                 that this file came from, or ws://127.0.0.1:8003
 *   address       the whole address to connect to, used as it stands instead of one made from `url`
 *   extended      ask for parley's extension: tool steps, cancel in every protocol, resuming; default true
 *   token         bearer token, where the gateway asks for one
 *   pipeline      langbot: the pipeline's uuid; by default the default pipeline's
 *   sessionType   langbot: 'person' (default) or 'group'
 *   user          minimal: the user's id, which is the conversation; default 'guest'
 *   conversation  yychat: conversation_id
 *   persona       yychat: personality_id
 *   stream        whether answers come word by word; default true
 *   tools         yychat: whether tools may be used; default true
 *   tries         how often it reconnects before it gives up; default 5
 *   delay         milliseconds before the first try, growing by as much with each, give or take a fifth; default 3000
 *   pingEvery     milliseconds between pings; a connection on which nothing has come since the last one is given up;
 *                 default 30000; 0: none
 *   longest       bytes of the longest frame that the gateway takes; default 1048576, as is the gateway's
 *   resume        the token of an earlier connection's { type: 'session' } message: goes on with its answer, of which
 *   answered      …this text is there already
 *
 * `onMessage(message)` is called with one of these; `text` is all of the answer so far:
 *
 *   { type: 'asked', text, own, id }             langbot: somebody in the session asked (own: over this connection)
 *   { type: 'started' }                          the answer begins
 *   { type: 'text', text, delta, id }            more of it
 *   { type: 'tool', id, name, status, arguments, result }   a tool 'running', then 'done' or 'failed'
 *   { type: 'completed', text, vendor, id }      its end; exactly one of these four ends a question
 *   { type: 'failed', error, lost }              `lost`: because the connection was
 *   { type: 'cancelled' }                        ends all that were asked
 *   { type: 'noted' }                            langbot: shown to the group, which is all that comes of it
 *   { type: 'session', resume, anew }            the token that lets a later connection go on here; `anew`: the one that
 *                                                was given isn't known any more, and the conversation begins anew
 *   { type: 'notice', text, frame }              something else worth telling a person
 *
 * `onBroadcast(message)` is called with what the operator sends to everybody; `onState({ state, attempt, tries,
 * reason, refused })` with 'connecting', 'connected', 'reconnecting' or 'offline' (`refused`: to try again would not help);
 * `onFrame({ direction, text, frame, time })` with every frame as it passes, 'in' or 'out' (`frame` null: not JSON). They may
 * be given as options, too.
 */

const CANCEL = { type: 'cancel' };
const MENTION = { type: 'At', target: 'websocketbot' }; /* without it the bot of a group stays silent */
const NO_PIPELINE = 'Pipeline not found';
const FINAL = ['completed', 'failed', 'cancelled', 'noted'];
const HANDLERS = ['onMessage', 'onBroadcast', 'onState', 'onFrame'];
/* A connection that lasted this long was a good one: the tries are counted anew. */
const SETTLED_MS = 10000;

/** The options of a connection that have a default. */
export const defaults = {
  protocol: 'agent_engine', extended: true, pipeline: '11111111-1111-4111-8111-111111111111', sessionType: 'person', user: 'guest',
  stream: true, tools: true, tries: 5, delay: 3000, pingEvery: 30000, longest: 1048576,
};

/** What differs between the protocols:
 *
 *   path          where it lives; in braces an option
 *   memory        the options whose values name the conversation; none: the connection is it
 *   renews        the one of them of which a new value begins a new conversation
 *   room          whether a room keeps the answers: who comes back is told those under way again, from their beginning
 *   history       whether the room is a session, whose messages are numbered, and can be read and reset over HTTP
 *   tokenIsUser   whether a token is good for its user's conversation alone; it may come with each question instead
 *   asks, calls   the types of what is sent: questions, each with its final message, and what is answered besides
 *   ask           makes a question; langbot's `chain` one of components
 *   ping, cancels   what keeps the connection; whether a cancel is understood without the extension, too
 *   errorPrefix   what stands before an error's text, and says nothing to a person
 *   statistics    where they are read: a path, without a slash at its beginning beside the protocol's own
 *   welcomes, refuses   whether a frame says that it is connected now, or why it never will be
 *   read          what a frame that comes means: messages. It is given the frame, the connection's `answer`, { text } of the
 *                 answer under way, and the connection
 */
export const protocols = {
  agent_engine: {
    title: 'Agent engine',
    path: '/ws/agent',
    memory: [],
    statistics: '/ws/statistics',
    errorPrefix: /^(Query|Streaming|Tool call) failed: /,
    asks: ['streaming_query', 'agent_query'],
    calls: ['tool_call'],
    ping: { type: 'ping' },
    cancels: true,
    ask: (text, o) => ({ type: o.stream ? 'streaming_query' : 'agent_query', query: text }),
    read(frame, answer) {
      switch (frame.type) {
        case 'stream_start': case 'status': return begin(answer);
        case 'stream_chunk': return [more(answer, frame.content)];
        case 'stream_end': return [end(answer)];
        case 'agent_response': return [end(answer, frame.content, { vendor: frame.vendor })];
        case 'tool_result':
          return [{ type: 'notice', text: `${frame.tool_name}: ${JSON.stringify(frame.result)}`, frame }];
        case 'error': return [{ type: 'failed', error: frame.error }];
        default: return [];
      }
    },
  },

  yychat: {
    title: 'YYChat',
    path: '/ws/chat',
    memory: ['conversation'],
    renews: 'conversation',
    statistics: '/ws/status',
    errorPrefix: /^(Text processing|Streaming response|Message processing) failed: /,
    asks: ['text_message'],
    ping: { type: 'ping' },
    ask: (text, o) => compact({
      type: 'text_message', content: text, conversation_id: o.conversation, personality_id: o.persona,
      use_tools: o.tools, stream: o.stream,
    }),
    read(frame, answer) {
      switch (frame.type) {
        case 'processing_start': return [];
        case 'stream_start': return begin(answer);
        case 'stream_chunk': return [more(answer, frame.content)];
        case 'stream_end': return [end(answer, frame.full_content)];
        case 'text_response': return [...begin(answer), end(answer, frame.content)];
        case 'error': return [{ type: 'failed', error: frame.error && frame.error.message }];
        case 'connection_closed': return [{ type: 'notice', text: frame.message, frame }];
        default: return [];
      }
    },
  },

  contact: {
    title: 'Contact',
    path: '/contact',
    memory: [],
    statistics: '/ws/statistics',
    errorPrefix: /^处理消息时出错: /,
    asks: ['chat_message'],
    calls: ['contact_request'],
    ping: { type: 'ping' },
    ask: (text) => ({ type: 'chat_message', message: text, timestamp: new Date().toISOString() }),
    read(frame, answer, connection) {
      switch (frame.type) {
        case 'chat_message_received': return begin(answer);
        case 'chat_message': /* without the extension a broadcast looks like an answer, to a question that nobody has asked */
          if (!connection.options.extended && !connection.pending) return [{ type: 'broadcast', message: frame.message }];
          return [end(answer, frame.message)];
        case 'contact_request_received': return [{ type: 'notice', text: frame.message, frame }];
        case 'broadcast': return [{ type: 'broadcast', message: frame.message }];
        case 'error': return [{ type: 'failed', error: frame.message }];
        default: return [];
      }
    },
  },

  langbot: {
    title: 'LangBot',
    path: '/api/v1/pipelines/{pipeline}/ws/connect',
    memory: ['pipeline', 'sessionType'],
    room: true,
    history: true,
    statistics: 'connections',
    asks: ['message'],
    query: (o) => ({ session_type: o.sessionType }),
    ping: { type: 'ping' },
    ask(text, o) {
      return this.chain(o.sessionType === 'group' ? [MENTION, plain(` ${text}`)] : [plain(text)], o);
    },
    chain: (chain, o) => ({ type: 'message', message: chain, stream: o.stream }),
    welcomes: (frame) => frame.type !== 'error',
    refuses: (frame) => (frame.message === NO_PIPELINE ? NO_PIPELINE : undefined),
    read(frame, answer, connection) {
      const data = frame.data || {};
      switch (frame.type) {
        case 'connected':
          connection.id = frame.connection_id;
          return [];
        case 'user_message':
          return [{ type: 'asked', text: data.content, own: data.connection_id === connection.id, id: data.id }];
        case 'response': return langbotResponse(data, answer);
        case 'broadcast': return [{ type: 'broadcast', message: frame.message }];
        case 'noted': return [{ type: 'noted' }];
        case 'error': return [{ type: 'failed', error: frame.message }];
        default: return [];
      }
    },
  },

  minimal: {
    title: 'Minimal',
    path: '/ws/chat/{user}',
    memory: ['user'],
    renews: 'user',
    room: true,
    tokenIsUser: true,
    statistics: '/ws/statistics',
    errorPrefix: /^(处理出错|服务器错误): /,
    asks: [undefined],
    ask: (text, o) => compact({ query: text, token: o.token }),
    read(frame, answer) {
      if (frame.type === 'chunk') return frame.is_final ? [] : [more(answer, frame.content)];
      if (frame.type === 'error') return [{ type: 'failed', error: frame.content }];
      if (frame.type !== 'status') return [];
      switch (frame.status) {
        case 'thinking': return begin(answer);
        case 'completed': return [end(answer)];
        default: return [];
      }
    },
  },
};

/** Opens a connection and keeps it open. See the top of this file. Throws where the address is none. */
export function connect(options) {
  const connection = new Connection(options);
  connection.open();
  return connection;
}

export class Connection {
  constructor(options = {}) {
    this.options = { url: gatewayAddress(), ...defaults, ...options };
    this.protocol = protocols[this.options.protocol];
    if (!this.protocol) throw new TypeError(`no such protocol: ${this.options.protocol}`);
    for (const name of HANDLERS) this[name] = this.options[name] || (() => {});
    this.state = 'offline';
    this.socket = null;
    this.attempt = 0;
    this.resume = this.options.resume;
    this.answer = newAnswer(this.options.answered, Boolean(this.resume));
    this.pending = this.resume && this.options.answered !== undefined ? 1 : 0; /* questions without a final message */
  }

  /** Connects, or connects again after it has given up. */
  open() {
    if (this.socket || this.timer) return;
    this.attempt = 0;
    this.#dial('connecting');
  }

  /** Closes for good, until open(). */
  close() {
    clearTimeout(this.timer);
    this.timer = null;
    const socket = this.#forget();
    if (socket) socket.close(1000);
    this.#giveUp();
    this.#setState('offline', { reason: 'closed' });
  }

  /** By how many bytes the gateway would find this question too long; 0: it would not. */
  excess(text) {
    return Math.max(0, utf8Length(toText(this.protocol.ask(text, this.options))) - this.options.longest);
  }

  /** Asks a question. False if there is no connection now. */
  send(text, options = {}) {
    return this.sendFrame(this.protocol.ask(text, { ...this.options, ...options }));
  }

  /** langbot: sends a chain of components, such as [{ type: 'At', target: 'websocketbot' }, { type: 'Plain', text: 'hi' }]. */
  sendChain(chain, options = {}) {
    if (!this.protocol.chain) throw new TypeError(`${this.protocol.title} has no message chains`);
    return this.sendFrame(this.protocol.chain(chain, { ...this.options, ...options }));
  }

  /** Stops every answer of this connection. False if there is no connection, or no such message in its protocol. */
  cancel() {
    if (!this.protocol.cancels && !this.options.extended) return false;
    return this.sendFrame(CANCEL);
  }

  /** Sends any frame: an object, or a text as it stands. */
  sendFrame(sent) {
    if (!this.socket || this.socket.readyState !== WebSocket.OPEN) return false;
    const text = toText(sent);
    const frame = parse(text);
    if (this.protocol.asks.includes(frame?.type)) this.pending++;
    this.socket.send(text);
    this.onFrame({ direction: 'out', text, frame, time: performance.now() });
    return true;
  }

  /** The address it connects to. */
  address() {
    if (this.options.address) return new URL(this.options.address).href;
    const url = new URL(this.options.url);
    const path = this.protocol.path.replace(/\{(\w+)\}/g, (_, name) => encodeURIComponent(this.options[name]));
    url.pathname = url.pathname.replace(/\/$/, '') + path;
    const query = { ...(this.protocol.query ? this.protocol.query(this.options) : {}) };
    if (this.options.extended) query.parley = '1';
    if (this.options.token) query.token = this.options.token;
    if (this.resume) Object.assign(query, { resume: this.resume, offset: utf8Length(this.answer.text) });
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url.href;
  }

  #dial(state) {
    this.timer = null;
    const socket = new WebSocket(this.address());
    this.socket = socket;
    this.welcomed = !this.protocol.welcomes;
    this.refusal = undefined;
    socket.onopen = () => socket === this.socket && this.#opened();
    socket.onmessage = (event) => socket === this.socket && this.#received(event.data);
    socket.onclose = (event) => socket === this.socket && this.#lost(event.reason || `code ${event.code}`);
    this.#setState(state);
  }

  #opened() {
    this.since = performance.now();
    this.heard = true;
    if (this.welcomed) this.#begin();
  }

  #begin() {
    const every = this.protocol.ping && this.options.pingEvery;
    if (every) this.pings = setInterval(() => this.#ping(), every);
    this.#setState('connected');
  }

  #ping() {
    if (!this.heard) {
      this.socket.close();
      this.#lost('no answer to a ping');
      return;
    }
    this.heard = false;
    this.sendFrame(this.protocol.ping);
  }

  /* Lets go of the socket: nothing that it still says is listened to. */
  #forget() {
    clearInterval(this.pings);
    const socket = this.socket;
    this.socket = null;
    return socket;
  }

  #lost(reason) {
    this.#forget();
    if (this.since && performance.now() - this.since > SETTLED_MS) this.attempt = 0;
    this.since = 0;
    this.answer.going = this.pending > 0;
    this.settled = this.pending === 0; /* then only an end that the gateway does not know to be received can go on */
    if (!this.resume) this.#giveUp();
    if (this.refusal || this.attempt >= this.options.tries) {
      this.#giveUp();
      this.#setState('offline', this.refusal ? { reason: this.refusal, refused: true } : { reason });
      return;
    }
    this.attempt++;
    const wait = this.options.delay * this.attempt * (0.8 + 0.4 * Math.random());
    this.timer = setTimeout(() => this.#dial('reconnecting'), wait);
    this.#setState('reconnecting', { reason });
  }

  /* Nothing more comes of what was asked. */
  #giveUp() {
    const unanswered = this.pending;
    this.pending = 0;
    this.answer = newAnswer();
    const message = { type: 'failed', error: 'the connection was lost', lost: true };
    for (let i = 0; i < unanswered; i++) this.onMessage(message);
  }

  #received(text) {
    this.heard = true;
    const frame = parse(text);
    this.onFrame({ direction: 'in', text, frame, time: performance.now() });
    if (!frame || typeof frame !== 'object') return;
    if (!this.welcomed && this.#isRefused(frame)) return;
    if (this.options.extended && frame.type === 'session') this.#session(frame);
    else for (const message of this.#read(frame)) this.#tell(message);
  }

  /* Until it is welcome, what comes may say that it never will be. */
  #isRefused(frame) {
    this.refusal = this.protocol.refuses(frame);
    this.welcomed = this.protocol.welcomes(frame);
    if (this.welcomed) this.#begin();
    return this.refusal !== undefined;
  }

  /* A tool may run before an answer's first word: where nothing else says that it begins, this does. */
  #read(frame) {
    if (this.options.extended && frame.type === 'tool') return [...begin(this.answer), frame];
    if (frame.type === 'cancelled') return [{ type: 'cancelled' }];
    return this.protocol.read(frame, this.answer, this);
  }

  /* `resumed` false: no answer goes on. What was asked has not come to the gateway, or is not known there any more. */
  #session(frame) {
    const anew = this.resume !== undefined && this.resume !== frame.resume;
    this.resume = frame.resume;
    if (frame.resumed === false) this.#giveUp();
    this.repeats = frame.resumed === true && this.settled;
    this.onMessage({ type: 'session', resume: frame.resume, anew });
  }

  #tell(message) {
    if (this.repeats) {
      this.repeats = !FINAL.includes(message.type);
      if (!this.repeats) this.answer = newAnswer();
      return;
    }
    if (FINAL.includes(message.type)) {
      this.pending = message.type === 'cancelled' ? 0 : Math.max(0, this.pending - 1);
      const { byId } = this.answer; /* others' answers go on beside it */
      this.answer = newAnswer();
      if (message.type === 'completed' || this.pending) this.answer.byId = byId;
    }
    if (message.type === 'broadcast') this.onBroadcast(message);
    else this.onMessage(message);
  }

  #setState(state, more = {}) {
    this.state = state;
    this.onState({ state, attempt: this.attempt, tries: this.options.tries, ...more });
  }
}

/* The answer under way: its text so far; `going`: that is the beginning of what comes next; `begun`: this has been told;
 * `byId`: langbot's answers, the text of each. */
function newAnswer(text = '', going = false) {
  return { text, going, begun: false, byId: new Map() };
}

function begin(answer) {
  if (answer.begun || answer.byId.size) return [];
  if (!answer.going) answer.text = '';
  Object.assign(answer, { going: false, begun: true });
  return [{ type: 'started' }];
}

function more(answer, delta) {
  answer.text += delta;
  return { type: 'text', text: answer.text, delta };
}

function end(answer, text = answer.text, extra = {}) {
  return { type: 'completed', text, ...extra };
}

/* langbot's frames hold all of the answer so far. Its id tells answers apart, which may come side by side. */
function langbotResponse({ id, content, is_final: isFinal }, answer) {
  const had = answer.byId.get(id);
  const messages = had === undefined && !answer.begun ? [{ type: 'started', id }] : [];
  answer.begun = false;
  if (isFinal) {
    answer.byId.delete(id);
    messages.push({ ...end(answer, content), id });
  } else {
    answer.byId.set(id, content);
    messages.push({ type: 'text', text: content, delta: content.slice((had || '').length), id });
  }
  return messages;
}

function plain(text) {
  return { type: 'Plain', text };
}

function compact(object) {
  return Object.fromEntries(Object.entries(object).filter(([, value]) => value !== undefined && value !== null));
}

/* null: not JSON. */
function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/* A frame as it is sent: half a character is no text that could be. */
function toText(frame) {
  return typeof frame === 'string' ? frame
    : JSON.stringify(frame, (name, value) => (typeof value === 'string' ? value.replace(/\p{Surrogate}/gu, '\ufffd') : value));
}

function utf8Length(text) {
  return new TextEncoder().encode(text).length;
}

/* This file is one folder below the gateway's root, whatever prefix a proxy puts before it. */
function gatewayAddress() {
  const root = new URL('..', import.meta.url);
  return root.protocol.startsWith('http') ? root.href.replace(/^http/, 'ws') : 'ws://127.0.0.1:8003';
}
