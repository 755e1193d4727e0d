/* What the pages find out of a server by plain requests, besides the frames. */

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

/* The way to `path` of the server that a protocol's address names, and what to ask it with. */
function request(socketAddress, path) {
  const url = plain(socketAddress);
  const token = url.searchParams.get('token');
  url.pathname = new URL(hostOf(socketAddress) || new URL('/', socketAddress)).pathname.replace(/\/$/, '') + path;
  url.search = '';
  return { url, headers: token ? { Authorization: `Bearer ${token}` } : {} };
}

/** Why a WebSocket of this page's own gateway did not open, where trying again would not help: 'token' (none, or one that
 * it doesn't know), or 'user' (minimal: the token is somebody else's). */
export async function refusal(socketAddress, protocol) {
  const { url, headers } = request(socketAddress, '/ws/status');
  try {
    const response = await fetch(url, { headers, signal: AbortSignal.timeout(PATIENCE_MS) });
    if (response.status === 401) return 'token';
    if (protocol !== 'minimal' || !headers.Authorization || !response.ok) return null;
    const { data } = await response.json();
    return data.active_connections < data.max_connections ? 'user' : null;
  } catch {
    return null;
  }
}

/** Why a WebSocket to that address may not have opened, of which a browser tells its pages nothing. */
export async function probe(socketAddress) {
  const { host, pathname } = new URL(socketAddress);
  const { url, headers } = request(socketAddress, '/ws/status'); /* what everybody may ask who may connect */
  const mine = url.origin === location.origin;
  try {
    const { status } = await fetch(url, { ...(mine ? { headers } : { mode: 'no-cors' }), signal: AbortSignal.timeout(PATIENCE_MS) });
    if (status === 401) return `${host} wants a token that it knows (401): add it to the address, as ?token=…`;
    return mine ? `${host} answers, but refuses the WebSocket: there is none at ${pathname}, or not for this token, or it is full`
      : `${host} answers, but refuses the WebSocket: none at ${pathname}, no token, or pages from ${location.origin} may not connect to it (WS_ALLOWED_ORIGINS)`;
  } catch {
    return `Nobody answers at ${host}`;
  }
}

/** The statistics of the server at a protocol's address, with what to say of them: { facts, note }. `path` and `read` say
 * where they are, and what is in them. */
export async function readStatistics(socketAddress, { path, read }) {
  const { url, headers } = request(socketAddress, path(new URL(socketAddress)));
  try {
    const response = await fetch(url, { headers });
    if (response.ok) return { facts: read(await response.json()), note: url.pathname };
    const why = [401, 403].includes(response.status) ? ': it wants the owner’s token' : '';
    return { facts: read(), note: `${url.pathname} answers ${response.status}${why}` };
  } catch {
    return { facts: read(), note: `This page may not read ${url.href}` };
  }
}
