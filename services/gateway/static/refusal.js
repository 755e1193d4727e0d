/* A connection that is refused, where trying again would not help: why, and the way to the setting that would mend it. */
import { ask } from './server.js';
import { t } from './words.js';

/* What is said, and the setting. */
const REASONS = {
  token: ({ token }) => [token ? 'unknownToken' : 'needsToken', 'token'],
  user: () => ['otherUser', 'user'],
  pipeline: () => ['noPipeline', 'pipeline'],
};

/* One of them, or null: 'token' (none, or one that the server doesn't know), or 'user' (the token is somebody else's, if
 * the server isn't full). */
async function reasonOf(connection) {
  const { protocol, options } = connection;
  try {
    const response = await ask(connection.address(), '/ws/status');
    if (response.status === 401) return 'token';
    if (!protocol.tokenIsUser || !options.token || !response.ok) return null;
    const { data } = await response.json();
    return data.active_connections < data.max_connections ? 'user' : null;
  } catch {
    return null;
  }
}

export class Refusal {
  /** `onMend(name)`: the person would like to change that setting. */
  constructor({ box, values, onMend }) {
    this.box = box;
    this.values = values;
    this.why = null;
    box.querySelector('button').addEventListener('click', () => onMend(REASONS[this.why](values)[1]));
  }

  set(why) {
    this.why = why;
    this.show();
  }

  show() {
    this.box.hidden = !this.why;
    if (this.why) this.box.querySelector('p').textContent = t(REASONS[this.why](this.values)[0], this.values);
  }

  /** Finds out why a connection did not open, of which the browser tells a page nothing; true if it is for good. */
  async find(connection) {
    return this.#is(connection, await reasonOf(connection));
  }

  /** Where a token may come with the question, a server that asks for one lets a page connect without. */
  async expectToken(connection) {
    if (connection.protocol.tokenIsUser && !connection.options.token) this.#is(connection, await reasonOf(connection));
  }

  /* Unless it has been closed meanwhile, or asks elsewhere. */
  #is(connection, why) {
    if (!why || connection !== this.connection) return false;
    this.set(why);
    return true;
  }

  /** From now on it is about this one, of which nothing is known. */
  forget(connection) {
    this.connection = connection;
    this.set(null);
  }
}
