"""A turns bucket that takes nothing more: it costs the safety net, not the answer."""

import asyncio
import json
import threading

import pytest

from bus import Bus
from client import connect, eventually
from stack import Stack, sized

MIB = 1 << 20
ROOM = 16
REST = "and the rest " * 100


@pytest.fixture(scope="module")
def stack(model):
    with Stack(model=model, TURNS_MAX_BYTES=MIB, TURN_START_TIMEOUT_MS=3000) as running:
        running.start(router=1, agent=1, gateway=1)
        yield running


def in_two_parts(first, rest, go_on):
    """An answer whose second part comes when it is told to."""
    async def behave(request, stream):
        stream.head()
        stream.delta({"content": first})
        while not go_on.is_set():
            await asyncio.sleep(0.01)
        stream.delta({"content": rest})
        stream.end()
    return behave


async def fill(stack):
    """Until there is room for nothing, but for ROOM bytes. Not by trying: nats-server 2.9 forgets what a message needs
    besides its payload, and would remove the oldest messages for one that only seems to fit."""
    async with Bus(stack.broker.port) as bus:
        async def room():
            return MIB - (await bus.stream("KV_parley_turns"))["bytes"]

        async def put(number, size):
            answer = json.loads(await bus.request(f"$KV.parley_turns.filler{number:03}", b"x" * size))
            assert "error" not in answer, answer
        before = await room()
        await put(0, 1000)
        overhead = before - await room() - 1000
        number = 0
        while (left := await room()) > ROOM:
            number += 1
            await put(number, min(100_000, left // 2 if left > 2000 else left - overhead - ROOM))
        assert left == ROOM


def drain(stack):
    purged = json.loads(stack.broker.request("$JS.API.STREAM.PURGE.KV_parley_turns"))
    assert purged["success"], purged


def test_full_at_the_turns_end(stack, model):
    """The end is told at once, though no record says so; the answer becomes part of the conversation; and the next
    question works when there is room again."""
    go_on = threading.Event()
    model.script("overflows", in_two_parts("first ", REST, go_on))
    (agent,) = stack.of("agent")

    async def scenario():
        async with connect(stack.url) as client:
            await client.ask_only("overflows")
            assert await client.until_chunk() == "first "
            await eventually(lambda: agent.metric("parley_checkpoints_total") > 0, what="it has been kept")
            await fill(stack)
            go_on.set()
            rest = await client.collect(sized(10, 30))
            assert rest.types == ["stream_chunk", "stream_end"] and rest.text == REST
            assert agent.logged("a turn's final record could not be written")
            assert agent.metric("parley_turns_total", 'state="completed"') == 1
            await asyncio.to_thread(drain, stack)
            (await client.ask("next")).check_streamed()
    asyncio.run(scenario())
    assert [message["content"] for message in model.asked("next")[0].messages[-3:]] == [
        "overflows", "first " + REST, "next"]
    assert len(model.asked("overflows")) == 1


def test_full_before_a_turn_begins(stack, model):
    """It can't be claimed: an error in the end, not silence; and nothing is asked of the model meanwhile."""
    (agent,) = stack.of("agent")

    async def scenario():
        await fill(stack)
        async with connect(stack.url) as client:
            assert (await client.ask("homeless", timeout=30)).types == ["error"]
            assert agent.logged("a turn could not be claimed")
            await asyncio.to_thread(drain, stack)
            (await client.ask("housed")).check_streamed()
            await eventually(lambda: stack.metric("agent", "parley_turns_running") == 0, what="nothing runs")
    asyncio.run(scenario())
    assert not model.asked("homeless")
