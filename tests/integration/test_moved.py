"""An agent dies, and whoever reads its answer does so at another gateway than the one that it was asked through: the next
agent goes on from what was read, though the model would say something else now."""

import asyncio
import itertools

import pytest

from client import eventually
from dialects import Minimal, connect
from stack import Stack
from tab import tab

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


async def kill_its_agent(stack):
    [agent] = [agent for agent in stack.of("agent") if agent.logged("turn started")]
    await asyncio.to_thread(agent.kill)


async def check(model, read, text):
    """What had been `read` was not taken back, and each agent's words are in the text once."""
    first, second = model.asked("slow")[-2:]
    assert not first.prefix and not first.finished
    assert second.prefix.startswith(read) and text.startswith(second.prefix)
    assert len(text.split()) == len(second.prefix.split()) + PIECES
    await eventually(lambda: not model.open_streams(), what="no stream is left open")


def test_a_client_that_moved(stack, model):
    first, second = stack.of("gateway")

    async def scenario():
        async with tab(first) as page:
            await page.ask("slow")
            await page.read(30)
            await page.vanish()
            assert (await page.open(second))["resumed"] is True
            await page.read(90)
            read = page.text
            await kill_its_agent(stack)
            assert await page.read() == "stream_end"
            await check(model, read, page.text)
    asyncio.run(scenario())


def test_a_room_that_its_asker_has_left(stack, model):
    first, second = stack.of("gateway")

    async def scenario():
        async with connect(Minimal, second.port) as watcher:
            async with connect(Minimal, first.port) as asker:
                await asker.ask_only("slow")
                frames = [await watcher.receive() for _ in range(10)]
                await asker.abandon()
            frames += [await watcher.receive() for _ in range(20)]
            await kill_its_agent(stack)
            read = "".join(frame.get("content", "") for frame in frames)
            frames += await watcher.collect_final()
            await check(model, read, watcher.text_of(frames))
    asyncio.run(scenario())
