/* What the console finds out of a server by plain requests, besides the frames. */
import { STATISTICS } from './templates.js';

const PATIENCE_MS = 10000;

/** What comes before a protocol's path, with the prefix that a proxy may have put there. */
export function hostOf(address) {
  const match = /^(wss?:\/\/[^/?#]+(?:\/[^?#]*?)?)(\/ws\/agent|\/ws\/chat|\/contact|\/api\/v1\/pipelines)/.exec(address);
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

/* The same address, for plain requests. */
function plain(address) {
  const url = new URL(address);
  url.protocol = url.protocol === 'wss:' ? 'https:' : 'http:';
  return url;
}

/** Why a WebSocket to that address may not have opened, of which a browser tells its pages nothing. */
export async function probe(address) {
  const { host } = address;
  try {
    const { type, status } = await fetch(plain(address), { mode: 'no-cors', signal: AbortSignal.timeout(PATIENCE_MS) });
    if (status === 401) return `${host} refuses it: 401, a token is wanted. Add it to the address: ?token=…`;
    if (status === 403) return `${host} refuses it: 403, this token or this page may not connect here`;
    if (status === 404) return `${host} has nothing at ${address.pathname}: 404`;
    return type === 'opaque'
      ? `${host} answers, but refuses the WebSocket: a wrong path, no token, or pages from ${location.origin} may not connect to it (WS_ALLOWED_ORIGINS)`
      : `${host} answers, but refuses the WebSocket (${status}): it may be full, or about to end`;
  } catch {
    return `Nobody answers at ${host}`;
  }
}

/** The statistics of the server at a protocol's address, with what to say of them: { facts, note }. */
export async function readStatistics(socketAddress, protocol) {
  const { path, read } = STATISTICS[protocol];
  const url = plain(socketAddress);
  const token = url.searchParams.get('token');
  const prefix = new URL(hostOf(socketAddress) || socketAddress).pathname.replace(/\/$/, '');
  url.pathname = prefix + path(url);
  url.search = '';
  try {
    const response = await fetch(url, { headers: token ? { Authorization: `Bearer ${token}` } : {} });
    if (response.ok) return { facts: read(await response.json()), note: url.pathname };
    const why = [401, 403].includes(response.status) ? ': it wants the owner’s token' : '';
    return { facts: read(), note: `${url.pathname} answers ${response.status}${why}` };
  } catch {
    return { facts: read(), note: `This page may not read ${url.href}` };
  }
}
