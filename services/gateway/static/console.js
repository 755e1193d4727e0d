/* The console: every frame as it passes, for those who build clients. Bounded: old frames go. */
import { Connection, protocols } from './parley.js';
import { addressOf, hostOf, probe, readStatistics } from './server.js';
import { FACTS, TEMPLATES, quickActions } from './templates.js';

const MAX_FRAMES = 1000;
const STATISTICS_MS = 2000;
const CONNECT_MS = 10000;
const SECONDS_DRAWN = 60;
const PREVIEW = 160;

const at = (id) => document.getElementById(id);
let connection = null;
let asked = 0; /* when the last question was sent */
let firstWord = null;
let frames = []; /* { direction, text, type, size, at, since } */
let unlisted = 0; /* so many of the last are not yet in the list */
let isDrawingDue = false; /* with the screen's next frame */
let answer = { text: '', isDrawn: true };
let leftOut = 0;
let paused = false;
const counters = { sent: 0, received: 0, bytes: 0 };
const perSecond = new Array(SECONDS_DRAWN).fill(0);

/* ---- The connection */

function protocolName() {
  return at('protocol').value;
}

/* The protocol's own address, at the gateway that the address names now. */
function suggestAddress() {
  const { options } = new Connection();
  const url = hostOf(at('address').value) || options.url;
  at('address').value = new Connection({ protocol: protocolName(), url, extended: at('extension').checked }).address();
}

/* The address says whether there is an extension, the tick only shows it. */
function showExtension() {
  const address = addressOf(at('address').value.trim());
  at('extension').checked = Boolean(address) && address.searchParams.get('parley') === '1';
}

function switchExtension() {
  const address = addressOf(at('address').value.trim());
  if (!address) return;
  if (at('extension').checked) address.searchParams.set('parley', '1');
  else address.searchParams.delete('parley');
  at('address').value = address.href;
  if (connection) connection.close();
}

function toggle() {
  if (connection && connection.state !== 'offline') {
    connection.close();
    return;
  }
  const text = at('address').value.trim();
  const address = addressOf(text);
  at('address').setAttribute('aria-invalid', String(!address));
  if (!address) {
    tellReason(`“${text}” is no WebSocket address: it would begin with ws:// or wss://`);
    return;
  }
  try {
    connection = new Connection({
      protocol: protocolName(), address: address.href, extended: at('extension').checked, onFrame, onMessage, onState: showState,
    });
    connection.open();
  } catch (error) { /* such as ws:// from a page that came by https:// */
    connection = null;
    tellReason(error.message);
  }
}

const STATES = {
  connecting: () => 'Connecting', connected: () => 'Connected', offline: () => 'Offline', idle: () => 'Not connected',
  reconnecting: ({ attempt, tries }) => `Reconnecting (attempt ${attempt} of ${tries})`,
};

function showState(now) {
  clearTimeout(showState.timer);
  /* What could not be reached at all is not tried again: its address may be wrong. */
  if (now.state === 'reconnecting' && at('connection').dataset.state === 'connecting') {
    failed(now.reason);
    return;
  }
  const state = now.state === 'offline' && now.reason === 'closed' ? 'idle' : now.state;
  showConnection(state, STATES[state](now));
  tellReason(now.reason && now.reason !== 'closed' ? `Closed: ${now.reason}` : '');
  if (state === 'connecting') showState.timer = setTimeout(() => failed(`no answer within ${CONNECT_MS / 1000} seconds`), CONNECT_MS);
  if (state === 'connected') refreshStatistics();
}

function showConnection(state, words) {
  at('connection').dataset.state = state;
  at('connection-words').textContent = words;
  at('connect').textContent = ['idle', 'offline'].includes(state) ? 'Connect' : 'Disconnect';
  check();
}

function tellReason(text) {
  at('reason').textContent = text;
  at('reason').classList.toggle('bad', Boolean(text));
}

/* The browser tells a page nothing of why; a plain request finds out something. */
async function failed(reason) {
  const address = new URL(connection.address());
  connection.close();
  showConnection('offline', STATES.offline());
  tellReason(`Could not connect to ${address.host}: ${reason}`);
  const asked = connection;
  const found = await probe(address.href);
  if (asked === connection && connection.state === 'offline') tellReason(found);
}

/* ---- Sending */

function showTemplates() {
  const templates = TEMPLATES[protocolName()];
  at('kind').replaceChildren(...Object.keys(templates).map((name) => new Option(name, name)));
  at('quick').replaceChildren(...Object.entries(quickActions(protocolName())).map(([name, frame]) => {
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'plain';
    button.textContent = name;
    button.addEventListener('click', () => send(typeof frame === 'string' ? frame : JSON.stringify(frame)));
    return button;
  }));
  useTemplate();
}

function useTemplate() {
  at('frame').value = JSON.stringify(TEMPLATES[protocolName()][at('kind').value], null, 2);
  check();
}

/* Whether what stands there is JSON; it can be sent all the same, since that is a thing to try. */
function check() {
  const online = Boolean(connection) && connection.state === 'connected';
  for (const button of [at('send'), ...at('quick').children]) button.disabled = !online;
  let fault = '';
  try {
    JSON.parse(at('frame').value);
  } catch (error) {
    fault = `Not JSON: ${error.message}`;
  }
  at('validity').textContent = fault || 'Valid JSON';
  at('validity').classList.toggle('bad', Boolean(fault));
  at('frame').setAttribute('aria-invalid', String(Boolean(fault)));
}

function send(text) {
  connection.sendFrame(text);
}

/* A template is easier to read on several lines than a frame on the wire. */
function oneLine(text) {
  try {
    return JSON.stringify(JSON.parse(text));
  } catch {
    return text;
  }
}

/* ---- Frames */

function typeOf(frame) {
  if (!frame || typeof frame !== 'object') return 'not JSON';
  return frame.status && frame.type === 'status' ? `status ${frame.status}` : String(frame.type ?? 'query');
}

function onFrame({ direction, text, frame, time }) {
  const type = typeOf(frame);
  const size = new TextEncoder().encode(text).length;
  count(direction, size, frame, time);
  const since = asked ? time - asked : null;
  const kept = { direction, text, type, size, at: new Date(), since: direction === 'in' ? since : null };
  frames.push(kept);
  unlisted = Math.min(unlisted + 1, MAX_FRAMES);
  if (frames.length > MAX_FRAMES) {
    frames.shift();
    leftOut++;
  }
  drawSoon();
}

function parse(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function count(direction, size, frame, time) {
  const { asks, calls = [] } = connection.protocol;
  counters[direction === 'out' ? 'sent' : 'received']++;
  if (direction === 'in') counters.bytes += size;
  else if (frame && [...asks, ...calls].includes(frame.type)) [asked, firstWord] = [time, null];
}

function onMessage({ type, text, error, lost }) {
  if (type === 'text') perSecond[SECONDS_DRAWN - 1]++;
  if (type === 'started') tellAnswer('');
  else if (type === 'text' || type === 'completed') tellWords(text);
  else if (type === 'failed' && !lost) tellAnswer(`${answer.text} [${error}]`);
  else if (type === 'cancelled') tellAnswer(`${answer.text} [cancelled]`);
}

/* An answer in one piece has its first word at its end. */
function tellWords(text) {
  if (firstWord === null && asked) firstWord = performance.now() - asked;
  tellAnswer(text);
}

function tellAnswer(text) {
  answer = { text, isDrawn: false };
  drawSoon();
}

function showAnswer() {
  if (answer.isDrawn) return;
  answer.isDrawn = true;
  at('answer').textContent = answer.text;
  at('answer').scrollTop = at('answer').scrollHeight;
}

function drawSoon() {
  if (!isDrawingDue) requestAnimationFrame(draw);
  isDrawingDue = true;
}

function draw() {
  isDrawingDue = false;
  showCounters();
  showAnswer();
  if (!paused) showFrames();
}

function showFrames() {
  const list = at('list');
  const follow = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  list.append(...frames.slice(frames.length - unlisted).map(row));
  unlisted = 0;
  while (list.childElementCount > MAX_FRAMES) list.firstElementChild.remove();
  at('nothing').hidden = frames.length > 0;
  at('left-out').hidden = leftOut === 0;
  at('left-out').textContent = `${leftOut} older frames are no longer shown.`;
  if (follow) list.scrollTop = list.scrollHeight;
}

function span(className, text) {
  const made = document.createElement('span');
  made.className = className;
  made.textContent = text;
  return made;
}

function row(frame) {
  const details = document.createElement('details');
  details.dataset.direction = frame.direction;
  details.dataset.type = frame.type;
  details.hidden = hides(frame.type);
  const summary = document.createElement('summary');
  const arrow = span('arrow', frame.direction === 'out' ? '↑' : '↓');
  arrow.setAttribute('aria-label', frame.direction === 'out' ? 'sent' : 'received');
  arrow.setAttribute('role', 'img');
  summary.append(
    arrow, span('time', frame.at.toISOString().slice(11, 23)), span('type', frame.type),
    span('since', frame.since === null ? '' : `+${milliseconds(frame.since)}`), span('size', `${frame.size} B`),
    span('preview', frame.text.slice(0, PREVIEW)));
  details.append(summary);
  details.addEventListener('toggle', () => {
    if (!details.open || details.childElementCount > 1) return;
    const pre = document.createElement('pre');
    pre.tabIndex = 0;
    const parsed = parse(frame.text);
    pre.textContent = parsed === null ? frame.text : JSON.stringify(parsed, null, 2);
    details.append(pre);
  });
  offer(frame.type);
  return details;
}

function milliseconds(ms) {
  return ms < 10 ? `${ms.toFixed(1)} ms` : ms < 10000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

/* ---- What is shown of them */

/* A type that has been seen can be filtered for. */
function offer(type) {
  const { options } = at('filter');
  if (![...options].some((option) => option.value === type)) options.add(new Option(type, type));
}

function hides(type) {
  const only = at('filter').value;
  return only !== '' && only !== type;
}

function applyFilter() {
  for (const details of at('list').children) details.hidden = hides(details.dataset.type);
}

function clear() {
  frames = [];
  unlisted = 0;
  leftOut = 0;
  Object.assign(counters, { sent: 0, received: 0, bytes: 0 });
  firstWord = null;
  asked = 0;
  at('list').replaceChildren();
  tellAnswer('');
  draw();
}

function pause() {
  paused = !paused;
  at('pause').setAttribute('aria-pressed', String(paused));
  at('pause').textContent = paused ? 'Go on' : 'Pause';
  if (!paused) showFrames();
}

/* One frame a line, as JSON. */
function save() {
  const lines = frames.map(({ direction, at: when, since, size, text }) =>
    JSON.stringify({ direction, time: when.toISOString(), since_question_ms: since, size, frame: parse(text) ?? text }));
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([`${lines.join('\n')}\n`], { type: 'application/x-ndjson' }));
  link.download = 'parley-frames.jsonl';
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

/* ---- Counters */

function showCounters() {
  at('sent').textContent = counters.sent.toLocaleString('en');
  at('received').textContent = counters.received.toLocaleString('en');
  at('bytes').textContent = counters.bytes.toLocaleString('en');
  at('first').textContent = firstWord === null ? '–' : milliseconds(firstWord);
}

/* Once a second: the second that has passed goes into the line. */
function tick() {
  const most = Math.max(10, ...perSecond);
  const points = perSecond.map((n, i) => `${(i * 120) / (SECONDS_DRAWN - 1)} ${31 - (n / most) * 30}`);
  at('spark').firstElementChild.setAttribute('d', `M${points.join('L')}`);
  at('rate').textContent = perSecond.at(-1);
  perSecond.push(0);
  perSecond.shift();
}

async function refreshStatistics() {
  clearTimeout(refreshStatistics.timer);
  const asked = connection;
  if (!asked || asked.state !== 'connected') return;
  const { statistics } = asked.protocol;
  const { facts, note } = await readStatistics(asked.address(), statistics, FACTS[statistics]);
  if (asked !== connection) return;
  showStatistics(facts);
  at('statistics-note').textContent = note;
  refreshStatistics.timer = setTimeout(refreshStatistics, STATISTICS_MS);
}

/* Their names, until there are any. */
function showNoStatistics() {
  showStatistics(FACTS[protocols[protocolName()].statistics]());
}

function showStatistics(facts) {
  at('statistics').replaceChildren(...Object.entries(facts).map(([name, value]) => {
    const row = document.createElement('div');
    const term = document.createElement('dt');
    const detail = document.createElement('dd');
    term.textContent = name;
    detail.textContent = typeof value === 'number' ? Math.round(value).toLocaleString('en') : value ?? '–';
    row.append(term, detail);
    return row;
  }));
}

/* ---- The page */

for (const [name, { title }] of Object.entries(protocols)) at('protocol').add(new Option(title, name));
at('protocol').addEventListener('change', () => {
  if (connection) connection.close();
  suggestAddress();
  showTemplates();
  showNoStatistics();
});
at('address').addEventListener('input', showExtension);
at('extension').addEventListener('change', switchExtension);
at('to').addEventListener('submit', (event) => {
  event.preventDefault();
  toggle();
});
at('kind').addEventListener('change', useTemplate);
at('frame').addEventListener('input', check);
at('frame').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && (event.ctrlKey || event.metaKey) && !at('send').disabled) at('send').click();
});
at('send').addEventListener('click', () => send(oneLine(at('frame').value)));
at('filter').addEventListener('change', applyFilter);
at('pause').addEventListener('click', pause);
at('clear').addEventListener('click', clear);
at('save').addEventListener('click', save);
/* As a file there are no pages beside this one. */
document.querySelector('nav').hidden = location.protocol === 'file:';
suggestAddress();
showTemplates();
showNoStatistics();
setInterval(tick, 1000);
tick();
