"""A page in a browser, as far as sessions go (the agent engine with ?parley=1)."""

import asyncio
import contextlib
import json

import websockets

from client import FINALS


class Tab:
    """Remembers its token, and how much of the answer it has."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.token = None
        self.text = ""
        self.final = None  # the last final frame
        self.socket = None

    async def open(self, gateway=None, token=None):
        """Returns the session's frame."""
        gateway = gateway or self.gateway
        token = token or self.token
        query = f"?parley=1&resume={token}&offset={len(self.text.encode())}" if token else "?parley=1"
        self.socket = await websockets.connect(f"ws://127.0.0.1:{gateway.port}/ws/agent{query}", ping_interval=None)
        assert (await self.receive())["type"] == "connected"
        session = await self.receive()
        assert session["type"] == "session"
        self.token = session["resume"]
        return session

    async def receive(self, timeout=30):
        return json.loads(await asyncio.wait_for(self.socket.recv(), timeout))

    async def ask(self, query):
        await self.socket.send(json.dumps({"type": "streaming_query", "query": query}))

    async def read(self, until=None, timeout=30):
        """Takes in text up to so many characters, or up to the final frame, whose type it returns."""
        while until is None or len(self.text) < until:
            frame = await self.receive(timeout)
            if frame["type"] == "stream_chunk":
                self.text += frame["content"]
            elif frame["type"] in FINALS:
                self.final = frame
                return frame["type"]
        return None

    async def is_quiet(self):
        """Nothing comes but the answer to a ping."""
        await self.socket.send(json.dumps({"type": "ping"}))
        return (await self.receive())["type"] == "pong"

    async def vanish(self):
        self.socket.transport.abort()
        await self.socket.wait_closed()


@contextlib.asynccontextmanager
async def tab(gateway):
    page = Tab(gateway)
    session = await page.open()
    assert set(session) == {"type", "resume"} and len(page.token) >= 22
    yield page
    await page.socket.close()
