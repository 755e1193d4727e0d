"""A way to the broker that can hold back what one service publishes: so a test stands between two of its steps.

    with NatsProxy(stack.broker.port) as proxy:
        agent = stack.add("agent", NATS_URL=proxy.url)
        proxy.hold("$KV.parley_turns.")
        …
        wait_until(lambda: proxy.held)      # subjects that begin so are kept here; all else goes on
        proxy.release()                     # or lose_answers(): it goes on, but what the broker says to it is lost
"""

import asyncio

from loop_thread import LoopThread


class NatsProxy:
    def __init__(self, broker_port):
        self.held = []  # subjects, in order
        self._broker_port = broker_port
        self._prefix = None
        self._waiting = []  # (writer, bytes)
        self._clients = set()  # writers
        self._thread = LoopThread()

    def __enter__(self):
        self._thread.start()
        server = self._thread.run(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.url = f"nats://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        return self

    def __exit__(self, *_error):
        self._thread.stop()

    def hold(self, prefix):
        """From now on."""
        self._prefix = prefix

    def release(self):
        """All that was held goes on, and nothing is held any more."""
        self._thread.loop.call_soon_threadsafe(self._release)

    def lose_answers(self):
        """The same, and all connections end before the broker can say anything more."""
        self._thread.loop.call_soon_threadsafe(self._lose_answers)

    def _lose_answers(self):
        self._release()
        for client in self._clients:
            client.transport.abort()

    def _release(self):
        self._prefix = None
        for writer, data in self._waiting:
            writer.write(data)
        self._waiting.clear()

    async def _serve(self, client, to_client):
        try:
            broker, to_broker = await asyncio.open_connection("127.0.0.1", self._broker_port)
        except ConnectionError:
            to_client.close()
            return
        self._clients.add(to_client)
        try:
            await asyncio.gather(self._carry(client, to_broker), self._copy(broker, to_client))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._clients.discard(to_client)
            to_broker.close()
            to_client.close()

    @staticmethod
    async def _copy(reader, writer):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
        raise ConnectionError

    async def _carry(self, reader, writer):
        """The client's half, message by message."""
        while line := await reader.readline():
            words = line.decode().split()
            if words[0].upper() in ("PUB", "HPUB"):
                line += await reader.readexactly(int(words[-1]) + 2)
                if self._prefix is not None and words[1].startswith(self._prefix):
                    self.held.append(words[1])
                    self._waiting.append((writer, line))
                    continue
            writer.write(line)
            await writer.drain()
        raise ConnectionError
