/* The chat page: ties the connection (parley.js), what was said (transcript.js) and the screen (view.js) together.
 * One question is under way at a time; what is asked meanwhile waits here, and can still be taken back by stopping. */
import { connect } from './parley.js';
import { Settings, newId, openDrawerWith } from './drawer.js';
import { Session, call } from './room.js';
import { Refusal } from './refusal.js';
import { at, fit, say, toast } from './screen.js';
import { Transcript, complete, isUnderWay, setTool, tellText, textOf } from './transcript.js';
import { View, element } from './view.js';
import { label, speak, t } from './words.js';

/* An answer that its room is to tell again: how long its first sign may take. */
const AGAIN_MS = 10000;
/* Without a word of an answer that has begun for so long, it is said to pause. */
const QUIET_MS = 5000;
/* Settings that say how to ask; the others say where to connect to, and begin a new connection. */
const OF_A_QUESTION = ['stream', 'tools', 'persona'];

const settings = new Settings();
speak(settings.values.language);
const transcript = new Transcript(settings.name());
const view = new View({ scroll: at('scroll'), log: at('log'), latest: at('latest') });
let connection = null;
let session = null; /* of LangBot's, what the connection belongs to */
const refusal = new Refusal({ box: at('refusal'), values: settings.values, onMend: (name) => openDrawer(name) });
let busyShown = null;

/* ---- Asking */

function ask(text) {
  const waits = Boolean(transcript.underWay());
  const question = transcript.add({ kind: 'question', text, queued: waits });
  show(question);
  view.toEnd();
  if (!waits) answer(question);
}

/* Sends a question, and begins its answer. */
function answer(question) {
  question.queued = false;
  const { stream, tools, persona } = settings.values;
  const sent = connection.send(question.text, { stream, tools, persona: persona || undefined });
  question.room = session.room;
  const entry = transcript.add({ kind: 'answer', state: sent ? 'waiting' : 'offline', parts: [] }, question);
  show(question);
  show(entry, question);
  showBusy();
}

function askNext() {
  const next = transcript.entries.find((entry) => entry.queued);
  if (next && !transcript.underWay() && connection.state === 'connected') answer(next);
}

function askAgain(old) {
  const question = transcript.questionOf(old);
  if (!question || transcript.underWay() || !connected()) return;
  transcript.remove(old);
  view.remove(old);
  answer(question);
  at('question').focus();
}

/* Stops the answer; what waited for it comes back to the composer. */
function stop() {
  const entry = transcript.underWay();
  if (!entry || entry.state === 'stopping') return;
  takeBack();
  entry.state = connection.cancel() ? 'stopping' : 'cancelled';
  settle(entry);
}

/* Questions that wait go back to the composer. */
function takeBack() {
  const waiting = transcript.entries.filter((one) => one.queued);
  for (const question of waiting) {
    transcript.remove(question);
    view.remove(question);
  }
  const box = at('question');
  box.value = [...waiting.map((question) => question.text), box.value].filter(Boolean).join('\n');
  fit();
}

/* ---- What comes */

function received(message) {
  switch (message.type) {
    case 'session':
      transcript.resume = message.resume;
      transcript.changed();
      if (message.anew) startFresh();
      break;
    case 'asked': {
      const other = session.asked(message);
      if (other) show(other);
      break;
    }
    case 'notice':
      toast(message.text);
      break;
    default:
      receivedOf(session.answerOf(message), message);
  }
}

function receivedOf(entry, message) {
  if (!entry) {
    if (message.type === 'failed' && !message.lost) toast(message.error);
    return;
  }
  switch (message.type) {
    case 'started':
      if (entry.state === 'waiting' || entry.state === entry.again) entry.state = 'running';
      say(t('answering'));
      break;
    case 'text':
      if (isUnderWay(entry)) tellText(entry, message);
      break;
    case 'tool': setTool(entry, message); break;
    case 'completed':
      complete(entry, message.text);
      say(message.text.trim() ? message.text : t('noAnswer'));
      break;
    case 'cancelled':
      entry.state = 'cancelled';
      say(t('stopped'));
      break;
    case 'noted':
      Object.assign(entry, { state: 'noted', number: null }); /* no answer has that number */
      say(t('noted'));
      break;
    case 'failed':
      entry.error = String(message.error ?? '').replace(settings.protocol.errorPrefix ?? '', '');
      if (message.lost) breakOff(entry, 'lost');
      else entry.state = 'failed';
      say(message.lost ? t('lost') : t('failed', { error: entry.error }));
      break;
  }
  settle(entry);
}

/* Nothing more comes of an answer. Should it be told again, it goes on; a room will. */
function breakOff(entry, state) {
  entry.again = state;
  entry.state = settings.protocol.room ? 'waiting' : state;
}

/* In a room also what others have asked, and what was told again already. */
function loseAll() {
  for (const entry of transcript.entries.filter(isUnderWay)) {
    breakOff(entry, 'lost');
    settle(entry);
  }
}

function giveUpWaiting() {
  for (const entry of transcript.entries.filter(({ again, state }) => again && state === 'waiting')) {
    entry.state = entry.again;
    settle(entry);
  }
}

/* An entry has changed; it may have been its end. */
function settle(entry) {
  transcript.changed();
  show(entry);
  showBusy();
  awaitMore(entry);
  if (!isUnderWay(entry)) askNext();
}

function awaitMore(entry) {
  clearTimeout(awaitMore.timer);
  if (entry.state === 'running' && entry.parts.at(-1)?.text) awaitMore.timer = setTimeout(() => view.pause(entry), QUIET_MS);
}

/* ---- The screen */

function show(entry, after) {
  view.show(entry, after);
  at('welcome').hidden = transcript.entries.length > 0;
}

function showAll() {
  view.reset(transcript.entries);
  at('welcome').hidden = transcript.entries.length > 0;
  at('ideas').replaceChildren(...t('ideas').map(([title, text]) => {
    const button = element('button', 'idea', element('b', '', title), element('span', '', text));
    button.type = 'button';
    button.addEventListener('click', () => send(text));
    return element('li', '', button);
  }));
  busyShown = null;
  showBusy();
  showState();
}

/* The button sends, or stops what runs. */
function showBusy() {
  const busy = Boolean(transcript.underWay());
  if (busy === busyShown) return;
  busyShown = busy;
  document.body.classList.toggle('busy', busy);
  label(at('send'), t(busy ? 'stop' : 'send'));
}

function showState() {
  const { state, attempt, options } = connection;
  at('connection').dataset.state = state;
  at('connection-words').textContent = t(state, { attempt, tries: options.tries });
  at('connect').hidden = state !== 'offline';
  refusal.show();
}

/* ---- The connection */

function open({ resume } = {}) {
  if (connection) {
    connection.onState = connection.onMessage = connection.onBroadcast = () => {};
    connection.close();
  }
  const running = transcript.underWay();
  transcript.resume = resume;
  transcript.changed();
  session = new Session(transcript, settings.values);
  let before = 'connecting';
  connection = connect({
    ...settings.connection(), resume, answered: running && resume ? textOf(running) : undefined,
    onMessage: received,
    onBroadcast: ({ message }) => show(transcript.add({ kind: 'operator', text: plain(message) })),
    onState({ state, reason, refused: isRefused }) {
      if (isRefused) refusal.set('pipeline');
      if (connection) changed(before, state);
      if (state === 'reconnecting' && reason && before !== 'connected') endIfRefused();
      before = state;
    },
  });
  refusal.forget(connection);
  showState();
}

async function endIfRefused() {
  const asked = connection;
  if (await refusal.find(asked)) asked.close();
}

function changed(before, state) {
  showState();
  clearTimeout(changed.timer);
  if (state === 'connected') {
    toast(t('toastConnected'));
    refusal.expectToken(connection);
    if (session.room) showHistory();
    changed.timer = setTimeout(giveUpWaiting, AGAIN_MS);
    askNext();
  } else if (before === 'connected') {
    toast(t('toastLost'));
    if (settings.protocol.room) loseAll();
  }
  if (state === 'offline') giveUpWaiting();
}

/* What LangBot's session holds that isn't on the page. */
async function showHistory() {
  const [from, into] = [connection, session];
  try {
    const { messages } = await call(from, 'GET', 'messages');
    if (from !== connection || !into.merge(messages, from.id)) return;
  } catch {
    if (from === connection) toast(t('toastNoHistory'));
    return;
  }
  transcript.changed();
  showAll();
  askNext();
}

/* Whether a question could be sent now; says so if not. */
function connected() {
  if (connection.state === 'connected' && !refusal.why) return true;
  toast(t('toastOffline'));
  return false;
}

/* Whether the server would take it; says so if not. */
function fits(text) {
  const excess = connection.excess(text);
  if (excess) toast(t('toastTooLong', { excess, longest: connection.options.longest }));
  return !excess;
}

/* Where the connection was the memory, the other side knows nothing any more of what stands above. */
function startFresh() {
  const last = transcript.entries.at(-1);
  if (!last || last.kind === 'fresh' || settings.protocol.memory.length) return;
  show(transcript.add({ kind: 'fresh' }));
}

function plain(message) {
  return typeof message === 'string' ? message : JSON.stringify(message);
}

/* After a reload: what can't go on is said to have been interrupted. */
function takeUp() {
  const resume = settings.protocol.room ? undefined : transcript.resume;
  if (!resume) {
    for (const entry of transcript.entries.filter(isUnderWay)) breakOff(entry, 'interrupted');
    if (!settings.protocol.room) takeBack();
  }
  open({ resume });
  if (!resume) startFresh();
}

/* With other settings, which may be another conversation's. */
function connectAnew() {
  transcript.open(settings.name());
  takeUp();
  showAll();
}

async function beginAnew() {
  const { renews, tokenIsUser } = settings.protocol;
  if (tokenIsUser && settings.values.token) {
    toast(t('toastOneConversation'));
    return;
  }
  if (session.room && !await reset()) return;
  transcript.clear();
  if (renews) settings.set(renews, newId());
  transcript.open(settings.name());
  open();
  showAll();
  at('question').focus();
}

/* A session of LangBot's is everybody's who is in it. */
async function reset() {
  if (!confirm(t('askReset'))) return false;
  try {
    await call(connection, 'POST', 'reset');
    return true;
  } catch ({ status }) {
    toast(t(status ? 'toastNoReset' : 'toastNoAnswer'));
    return false;
  }
}

/* ---- The person */

function send(text = at('question').value) {
  if (!text.trim() || !connected() || !fits(text)) return;
  if (text === at('question').value) at('question').value = '';
  fit();
  ask(text);
  at('question').focus();
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    toast(t('toastCopied'));
  } catch {
    toast(t('toastCopyFailed'));
  }
}

function clicked({ target }) {
  const button = target.closest('button');
  const [entry] = [...view.shown].find(([, shown]) => button && shown.root.contains(button)) || [];
  if (!entry) return;
  if (button.dataset.copy) copy(button.closest('figure').querySelector('code').textContent);
  else if (button.dataset.action === 'copy') copy(textOf(entry));
  else if (button.dataset.action === 'again') askAgain(entry);
}

at('composer').addEventListener('submit', (event) => {
  event.preventDefault();
  if (transcript.underWay()) stop();
  else send();
});
at('question').addEventListener('input', fit);
at('question').addEventListener('keydown', (event) => {
  if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  send();
});
addEventListener('keydown', (event) => {
  if (event.key === 'Escape' && !at('drawer').open) stop();
});
at('log').addEventListener('click', clicked);
at('new').addEventListener('click', beginAnew);
at('connect').addEventListener('click', () => {
  refusal.forget(connection);
  connection.open();
});
const openDrawer = openDrawerWith({
  dialog: at('drawer'), button: at('settings'), settings,
  onLanguage(language) {
    speak(language);
    showAll();
  },
  onChange(names) {
    if (!names.every((name) => OF_A_QUESTION.includes(name))) connectAnew();
  },
});

takeUp();
showAll();
fit();
