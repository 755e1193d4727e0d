/* A line between the browser and the gateway that a test can cut, silence, and mend. */
import { connect, createServer } from 'node:net';
import { atEnd } from './support.js';

export async function startWire(url) {
  const ends = new Set();
  let state = 'up';
  const server = createServer((near) => {
    if (state === 'down') {
      near.destroy();
      return;
    }
    const far = connect(new URL(url).port, '127.0.0.1');
    for (const [from, to] of [[near, far], [far, near]]) {
      ends.add(from);
      from.on('data', (data) => { if (state !== 'silent') to.write(data); });
      from.on('error', () => {}); /* its close follows */
      from.on('close', () => {
        ends.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve); });
  const wire = {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Every connection breaks at once, without a word. */
    cut() { for (const end of ends) end.resetAndDestroy(); },
    /** No new connection gets through, either. */
    down() {
      state = 'down';
      this.cut();
    },
    /** Connections stay, but nothing passes. */
    silence() { state = 'silent'; },
    up() { state = 'up'; },
    stop() {
      this.down();
      server.close();
    },
  };
  atEnd(() => wire.stop());
  return wire;
}
