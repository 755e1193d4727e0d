"""A worker's death is a pause: whoever watches an answer sees it continue from the exact byte."""

import asyncio
import json
import time

import pytest

from client import connect, eventually
from model_server import call, say
from stack import Stack
from tool_file import command_tools

ACK_WAIT_MS = 1500
TEXT = [f"{n:03}é😀 " for n in range(150)]


@pytest.fixture(scope="module")
def stack(model):
    with Stack(model=model, JOB_ACK_WAIT_MS=ACK_WAIT_MS) as running:
        running.start(router=1, agent=1, gateway=1)
        yield running


async def read_pieces(client, count):
    pieces = [await client.until_chunk()]
    while len(pieces) < count:
        pieces.append((await client.expect("stream_chunk"))["content"])
    return "".join(pieces)


def test_kill_9_in_mid_answer(stack, model):
    model.script("dies", say(TEXT, delay=0.02))
    first = stack.of("agent")[0]

    async def scenario():
        async with connect(stack.url) as client:
            await client.ask_only("dies")
            text = await read_pieces(client, 40)
            second = await asyncio.to_thread(stack.add, "agent")
            first.kill()
            died = time.monotonic()
            rest = await client.collect(60)
            assert rest.types == ["stream_chunk"] * (len(rest.types) - 1) + ["stream_end"], "nothing but the rest"
            assert text + rest.text == "".join(TEXT)
            assert time.monotonic() - died < 30
            (await client.ask("and on")).check_streamed()
            return second
    second = asyncio.run(scenario())
    requests = model.asked("dies")
    assert len(requests) == 2
    assert requests[0].client_closed
    assert requests[1].prefix and "".join(TEXT).startswith(requests[1].prefix), "continued, not begun anew"
    assert second.metric("parley_turns_total", 'state="completed"') >= 1


def test_kill_9_when_the_broker_has_forgotten_who_had_the_job(model):
    """As one does that was killed itself. The start deadline has passed by then, and yet the answer was begun."""
    model.script("forgotten", say(TEXT, delay=0.02))

    async def scenario(stack):
        async with connect(stack.url) as client:
            await client.ask_only("forgotten")
            text = await read_pieces(client, 75)  # longer than it may wait to be begun
            stack.of("agent")[0].kill()
            deleted = json.loads(await asyncio.to_thread(stack.broker.request, "$JS.API.CONSUMER.DELETE.JOBS.agents"))
            assert deleted["success"], deleted
            await asyncio.to_thread(stack.add, "agent")
            rest = await client.collect(60)
            assert rest.final["type"] == "stream_end" and text + rest.text == "".join(TEXT)
            assert len(model.asked("forgotten")) == 2
    with Stack(model=model, JOB_ACK_WAIT_MS=ACK_WAIT_MS, TURN_START_TIMEOUT_MS=1000) as stack:
        stack.start(router=1, agent=1, gateway=1)
        asyncio.run(scenario(stack))


def test_a_draining_agent_hands_its_turn_back(stack, model):
    model.script("drains", say(TEXT, delay=0.02))
    draining = stack.add("agent", AGENT_DRAIN_GRACE_SECONDS=0)
    for agent in stack.running("agent"):
        if agent is not draining:
            stack.remove(agent)

    async def scenario():
        async with connect(stack.url) as client:
            await client.ask_only("drains")
            text = await read_pieces(client, 20)
            await asyncio.to_thread(stack.add, "agent")
            draining.terminate()
            begun = time.monotonic()
            rest = await client.collect(60)
            assert text + rest.text == "".join(TEXT) and rest.final["type"] == "stream_end"
            assert time.monotonic() - begun < 20
    asyncio.run(scenario())
    assert draining.wait(15) == 0
    draining.killed = True


def test_no_agent_comes_back_in_time(stack, model):
    """Nobody takes over: an error in the end, not silence; and a worker that comes later serves the next question."""
    gateway = stack.add("gateway", TURN_SILENCE_MS=500, TURN_LOST_TIMEOUT_MS=3000)
    model.script("lost", say(TEXT, delay=0.05))

    async def scenario():
        async with connect(f"ws://127.0.0.1:{gateway.port}/ws/agent") as client:
            await client.ask_only("lost")
            await client.until_chunk()
            for agent in stack.running("agent"):
                agent.kill()
            rest = await client.collect(30)
            assert rest.final["type"] == "error" and rest.final["error"].startswith("Streaming failed: ")
            await client.ping()
            await asyncio.to_thread(stack.add, "agent")
            (await client.ask("somebody new")).check_streamed()
            await eventually(lambda: not model.open_streams(), what="no stream is left open")
            await client.ping()
    asyncio.run(scenario())


def test_a_frozen_agent_that_nobody_replaces(stack, model):
    """It is there, and says nothing: asking it costs the time-out each time, and the client an error within bounds. When
    it wakes up, it finds that it was given up."""
    gateway = stack.add("gateway", TURN_SILENCE_MS=500, TURN_LOST_TIMEOUT_MS=3000)
    model.script("icy", say(TEXT * 20, delay=0.05))
    [frozen] = stack.running("agent")

    async def scenario():
        async with connect(f"ws://127.0.0.1:{gateway.port}/ws/agent") as client:
            await client.ask_only("icy")
            await client.until_chunk()
            frozen.freeze()
            begun = time.monotonic()
            rest = await client.collect(30)
            assert rest.final["type"] == "error" and rest.final["error"].startswith("Streaming failed: ")
            assert 1.5 < time.monotonic() - begun < 15, "not for its first silence"
            await client.ping()
            frozen.thaw()
            await eventually(lambda: not model.open_streams(), what="the provider's stream is closed")
            assert len(model.asked("icy")) == 1
            (await client.ask("awake")).check_streamed()
    asyncio.run(scenario())


def test_a_frozen_agent_that_wakes_up_adds_nothing(stack, model):
    model.script("freezes", say(TEXT, delay=0.02))
    [frozen] = stack.running("agent")

    async def scenario():
        async with connect(stack.url) as client:
            await client.ask_only("freezes")
            text = await read_pieces(client, 20)
            await asyncio.to_thread(stack.add, "agent")
            frozen.freeze()
            text += await read_until(client, text)
            frozen.thaw()
            rest = await client.collect(60)
            assert text + rest.text == "".join(TEXT) and rest.final["type"] == "stream_end"
            await eventually(lambda: not model.open_streams(), what="both streams have ended")
            await client.ping()

    async def read_until(client, text):
        """Reads until the other agent has gone on."""
        more = ""
        while len(model.asked("freezes")) < 2:
            frame = await client.receive(60)
            assert frame["type"] == "stream_chunk", frame
            more += frame["content"]
            if text + more == "".join(TEXT):
                break
        return more
    asyncio.run(scenario())


def test_what_tools_said_is_not_asked_again(model, tmp_path):
    """However much it is: the next agent reads it back from the store."""
    tools = command_tools(tmp_path, {"big": f"""echo called >> {tmp_path}/calls
        printf '"'; head -c 60000 /dev/zero | tr '\\0' x; printf '"'"""})
    model.script("remembers", call(("big", {})), call(("big", {}), ("big", {})), say(TEXT, delay=0.02))

    async def scenario(stack):
        async with connect(stack.url) as client:
            await client.ask_only("remembers")
            text = await read_pieces(client, 40)
            [first] = stack.of("agent")
            await asyncio.to_thread(stack.add, "agent")
            first.kill()
            rest = await client.collect(60)
            assert rest.final["type"] == "stream_end" and text + rest.text == "".join(TEXT)

    with Stack(model=model, TOOLS_CONFIG=tools, JOB_ACK_WAIT_MS=ACK_WAIT_MS) as stack:
        stack.start(router=1, agent=1, tools=1, gateway=1)
        asyncio.run(scenario(stack))
    assert (tmp_path / "calls").read_text(encoding="utf-8").count("called") == 3
    assert model.asked("remembers")[-1].prefix
    assert model.asked("remembers")[-1].tool_results() == [f'"{"x" * 60000}"'] * 3
