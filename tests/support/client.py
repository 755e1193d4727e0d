"""A client of /ws/agent: checks the shape of every frame that it gets, and that each question ends exactly once."""

import asyncio
import contextlib
import json
import time
import uuid

import websockets

NUMBER = (int, float)
ANY = object

# Section 5 of the protocols: type → the other fields and their types.
SHAPES = {
    "connected": {"connection_id": str, "message": str},
    "pong": {"timestamp": NUMBER},
    "status": {"status": str, "timestamp": NUMBER},
    "agent_response": {"content": str, "vendor": str, "timestamp": NUMBER},
    "stream_start": {"timestamp": NUMBER},
    "stream_chunk": {"content": str, "timestamp": NUMBER},
    "stream_end": {"timestamp": NUMBER},
    "tool_result": {"tool_name": str, "result": ANY, "timestamp": NUMBER},
    "cancelled": {"timestamp": NUMBER},
    "error": {"error": str, "timestamp": NUMBER},
}
FINALS = ("stream_end", "agent_response", "cancelled", "error")
OF_AN_ANSWER = ("stream_start", "stream_chunk", "status", *FINALS)


def check_shape(frame):
    assert isinstance(frame, dict), frame
    shape = SHAPES.get(frame.get("type"))
    assert shape is not None, f"no such message: {frame}"
    assert set(frame) == {"type", *shape}, f"other fields than the protocol's: {frame}"
    for name, kind in shape.items():
        assert isinstance(frame[name], kind) and not (kind is NUMBER and isinstance(frame[name], bool)), frame
    if "timestamp" in frame:
        assert abs(frame["timestamp"] - time.time()) < 300, frame


async def eventually(condition, timeout=15, what="the condition"):
    """Waits for a true value, while the loop runs on."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"{what}: not within {timeout} s"
        await asyncio.sleep(0.01)


class Answer:
    """The frames of one question, its final one last."""

    def __init__(self, frames, times):
        self.frames = frames
        self.times = times  # time.monotonic() of each

    @property
    def final(self):
        return self.frames[-1]

    @property
    def text(self):
        return "".join(frame["content"] for frame in self.frames if frame["type"] == "stream_chunk")

    @property
    def types(self):
        return [frame["type"] for frame in self.frames]

    def check_streamed(self):
        """start, chunks, end; no empty chunk."""
        chunks = self.frames[1:-1]
        assert self.types[0] == "stream_start" and self.types[-1] == "stream_end", (self.types[:3], self.final)
        assert all(frame["type"] == "stream_chunk" and frame["content"] for frame in chunks), self.types
        return self


class Client:
    check = staticmethod(check_shape)
    finals = FINALS

    def __init__(self, socket):
        self.socket = socket
        self.welcome = None
        self.received = 0  # frames, the welcome too
        self._queue = asyncio.Queue()
        self._reader = asyncio.ensure_future(self._read())

    async def _read(self):
        try:
            async for message in self.socket:
                self._queue.put_nowait((time.monotonic(), message))
        except websockets.ConnectionClosed:
            pass
        self._queue.put_nowait((time.monotonic(), None))

    async def send(self, frame):
        await self.socket.send(json.dumps(frame))

    async def send_raw(self, data):
        await self.socket.send(data)

    async def receive_timed(self, timeout=30):
        """The next frame and when it came."""
        at, message = await asyncio.wait_for(self._queue.get(), timeout)
        if message is None:
            self._queue.put_nowait((at, None))
            raise ConnectionError(f"closed: {self.socket.close_code} {self.socket.close_reason}")
        assert isinstance(message, str), "a binary frame"
        frame = json.loads(message)
        self.check(frame)
        self.received += 1
        return frame, at

    async def receive(self, timeout=30):
        return (await self.receive_timed(timeout))[0]

    async def expect(self, kind, timeout=30):
        """The next frame, which must be of that type."""
        frame = await self.receive(timeout)
        assert frame["type"] == kind, f"{kind} expected: {str(frame)[:300]}"
        return frame

    async def expect_error(self, text, timeout=30):
        """The next frame is an error with exactly this text, or one that begins so where it ends with a space."""
        error = (await self.expect("error", timeout))["error"]
        assert error == text or (text.endswith(" ") and error.startswith(text)), error
        return error

    async def ping(self):
        """Sends a ping, and reads nothing but the pong: so nothing else was on its way."""
        await self.send({"type": "ping"})
        return await self.expect("pong")

    async def ask_only(self, query, stream=True):
        await self.send({"type": "streaming_query" if stream else "agent_query", "query": query})

    async def collect(self, timeout=30):
        """The frames up to the next final one."""
        frames, times = [], []
        while not frames or frames[-1]["type"] not in self.finals:
            frame, at = await self.receive_timed(timeout)
            frames.append(frame)
            times.append(at)
        return Answer(frames, times)

    async def ask(self, query, stream=True, timeout=30):
        await self.ask_only(query, stream)
        return await self.collect(timeout)

    async def until_chunk(self, timeout=30):
        """Reads up to the first piece of text, and returns it."""
        frame = await self.receive(timeout)
        while frame["type"] != "stream_chunk":
            assert frame["type"] in ("stream_start", "stream_chunk"), frame
            frame = await self.receive(timeout)
        return frame["content"]

    async def closed(self, timeout=30):
        """Waits until the server has closed it, and returns code and reason."""
        await asyncio.wait_for(self.socket.wait_closed(), timeout)
        return self.socket.close_code, self.socket.close_reason

    async def abandon(self):
        """Goes away without a word."""
        self.socket.transport.abort()
        await self._reader

    async def close(self):
        await self.socket.close()
        await self._reader


@contextlib.asynccontextmanager
async def connect(url, **options):
    """A connected client that has been welcomed; at the end nothing of any answer may be left over."""
    options = {"max_size": None, "ping_interval": None, "max_queue": None, "compression": None, "open_timeout": 30,
               **options}
    async with websockets.connect(url, **options) as socket:
        client = Client(socket)
        client.welcome = await client.expect("connected")
        assert uuid.UUID(client.welcome["connection_id"]).version == 4
        assert client.welcome["message"] == "Connected to Agent WebSocket"
        yield client
        if socket.open:
            await client.ping()
        await client.close()


def run_with(opening, scenario):
    """Runs it with the client, or whatever else an asynchronous context opens."""
    async def opened():
        async with opening as client:
            await scenario(client)
    asyncio.run(opened())
