"""An agent dies, and whoever reads its answer does so at another gateway than the one that it was asked through: the next
agent goes on from what was read, though the model would say something else now."""

import asyncio
import itertools
import json

import pytest
import websockets

from client import eventually
from dialects import OPTIONS, Minimal, url_of
from stack import Stack

PIECES = 60


@pytest.fixture
def stack(model):
    counter = itertools.count()

    async def never_the_same(_request, stream):
        stream.head()
        for _ in range(PIECES):
            stream.delta({"content": f"{next(counter)} "})
            await asyncio.sleep(0.02)
        stream.end()
    model.script("slow", never_the_same)
    with Stack(model=model, JOB_ACK_WAIT_MS=1000, TURN_SILENCE_MS=60000) as running:
        running.start(router=1, agent=2, gateway=2)
        yield running


class Reader:
    def __init__(self, socket):
        self.socket = socket
        self.text = ""

    async def read(self, pieces=None):
        """So many pieces of text, or all up to the final frame, which it returns."""
        while pieces is None or pieces > 0:
            frame = json.loads(await asyncio.wait_for(self.socket.recv(), 30))
            if frame["type"] in ("stream_chunk", "chunk"):
                self.text += frame["content"]
                pieces = pieces and pieces - 1
            elif frame["type"] in ("stream_end", "error", "session") or frame.get("status") == "completed":
                return frame
        return None


async def kill_agent_and_read_on(stack, model, reader):
    """Its text goes on where it was, and each agent's words are in it once."""
    [agent] = [agent for agent in stack.of("agent") if agent.logged("turn started")]
    read = reader.text
    agent.kill()
    final = await reader.read()
    assert final["type"] != "error", final
    first, second = model.asked("slow")[-2:]
    assert not first.prefix and not first.finished
    assert second.prefix.startswith(read), "what was read is not taken back"
    assert reader.text.startswith(second.prefix)
    assert len(reader.text.split()) == len(second.prefix.split()) + PIECES
    await eventually(lambda: not model.open_streams(), what="no stream is left open")


def test_a_client_that_moved(stack, model):
    first, second = (f"ws://127.0.0.1:{gateway.port}/ws/agent?parley=1" for gateway in stack.of("gateway"))

    async def scenario():
        async with websockets.connect(first, **OPTIONS) as socket:
            reader = Reader(socket)
            token = (await reader.read())["resume"]
            await socket.send(json.dumps({"type": "streaming_query", "query": "slow"}))
            await reader.read(10)
            socket.transport.abort()
        async with websockets.connect(f"{second}&resume={token}&offset={len(reader.text)}", **OPTIONS) as socket:
            reader.socket = socket
            assert (await reader.read())["resumed"] is True
            await reader.read(20)
            await kill_agent_and_read_on(stack, model, reader)
    asyncio.run(scenario())


def test_a_room_that_its_asker_has_left(stack, model):
    first, second = (url_of(Minimal, gateway.port) for gateway in stack.of("gateway"))

    async def scenario():
        async with websockets.connect(second, **OPTIONS) as socket:
            reader = Reader(socket)
            async with websockets.connect(first, **OPTIONS) as asker:
                await asker.send(json.dumps({"query": "slow"}))
                await reader.read(10)
            await reader.read(20)
            await kill_agent_and_read_on(stack, model, reader)
    asyncio.run(scenario())
