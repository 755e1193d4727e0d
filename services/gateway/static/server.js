/* What the pages find out of a server by plain requests, besides the frames. */
import { protocols } from './parley.js';

const PATIENCE_MS = 10000;
const ROOTS = Object.values(protocols).map(({ path }) => path.split('/{')[0]);
const ADDRESS = new RegExp(`^(wss?://[^/?#]+(?:/[^?#]*?)?)(${ROOTS.join('|')})`);

/** What comes before a protocol's path, with the prefix that a proxy may have put there. */
export function hostOf(address) {
  const match = ADDRESS.exec(address);
  return match && match[1];
}

/** A WebSocket's address, or null. */
export function addressOf(text) {
  try {
    const address = new URL(text);
    return ['ws:', 'wss:'].includes(address.protocol) ? address : null;
  } catch {
    return null;
  }
}

function urlOf(socketAddress, path) {
  const root = (hostOf(socketAddress) || new URL(socketAddress).origin).replace(/\/$/, '');
  const url = new URL(path.startsWith('/') ? root + path : path, socketAddress);
  url.protocol = url.protocol === 'wss:' ? 'https:' : 'http:';
  return url;
}

/** A plain request to the server that a WebSocket's address names, with the token in it: fetch()'s response. `path` is below
 * the prefix or, without a slash at its beginning, beside the WebSocket. */
export function ask(socketAddress, path, options) {
  const token = new URL(socketAddress).searchParams.get('token');
  return fetch(urlOf(socketAddress, path), {
    headers: token ? { Authorization: `Bearer ${token}` } : {}, signal: AbortSignal.timeout(PATIENCE_MS), ...options,
  });
}

/** Why a WebSocket to that address may not have opened, of which a browser tells its pages nothing. */
export async function probe(socketAddress) {
  const { host, pathname } = new URL(socketAddress);
  const path = '/ws/status'; /* what everybody may ask who may connect */
  const mine = urlOf(socketAddress, path).origin === location.origin;
  try {
    const { status } = await ask(socketAddress, path, mine ? {} : { mode: 'no-cors' });
    if (status === 401) return `${host} wants a token that it knows (401): add it to the address, as ?token=…`;
    return mine ? `${host} answers, but refuses the WebSocket: there is none at ${pathname}, or not for this token, or it is full`
      : `${host} answers, but refuses the WebSocket: none at ${pathname}, no token, or pages from ${location.origin} may not connect to it (WS_ALLOWED_ORIGINS)`;
  } catch {
    return `Nobody answers at ${host}`;
  }
}

/** The statistics of the server at a protocol's address, with what to say of them: { facts, note }. `path` and `read` say
 * where they are, and what is in them. */
export async function readStatistics(socketAddress, path, read) {
  const url = urlOf(socketAddress, path);
  try {
    const response = await ask(socketAddress, path);
    if (response.ok) return { facts: read(await response.json()), note: url.pathname };
    const why = [401, 403].includes(response.status) ? ': it wants the owner’s token' : '';
    return { facts: read(), note: `${url.pathname} answers ${response.status}${why}` };
  } catch ({ name }) {
    return { facts: read(), note: name === 'TimeoutError' ? `${url.pathname} does not answer` : `This page may not read ${url.href}` };
  }
}
