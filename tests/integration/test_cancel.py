"""Cancelling: it stops what it costs at once, and ends everything with one `cancelled`."""

import asyncio
import base64
import json
import os
import random
import time

import pytest

from client import FINALS, connect, eventually
from latency import check_latencies
from model_server import call, hang, refuse, report_results, say
from nats_proxy import NatsProxy
from stack import Stack, sized
from tool_file import command_tools, running

CLOSE_SECONDS = sized(0.1, 1.0)
CONFIRM_SECONDS = sized(1.0, 3.0)
RACES = sized(1000, 150)
DELTAS = 10
STEPS = sized(100, 30)
TAG = f"601{os.getpid():08}"


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    return {"WS_MAX_QUESTIONS": 1000, "TOOLS_CONFIG": command_tools(tmp_path_factory.mktemp("tools"), {"sleeps": f"exec sleep {TAG}"})}


async def cancel(client):
    """Sends it and reads up to `cancelled`, which comes soon, and nothing after it."""
    begun = time.monotonic()
    await client.send({"type": "cancel"})
    answer = await client.collect()
    assert answer.final["type"] == "cancelled", answer.final
    assert time.monotonic() - begun < CONFIRM_SECONDS
    await client.ping()
    return answer


def test_the_provider_stream_is_closed_at_once(stack, model):
    model.script("long", say(["word "] * 5000, delay=0.01))
    times = []

    async def scenario():
        async with connect(stack.url) as client:
            for _ in range(10):
                await client.ask_only("long")
                await client.until_chunk()
                begun = asyncio.get_running_loop().time()
                await client.send({"type": "cancel"})
                assert (await client.collect()).final["type"] == "cancelled"
                request = model.asked("long")[-1]
                await eventually(lambda: not request.open, what="the stream is closed")
                assert request.client_closed
                times.append(request.closed - begun)
                await client.ping()
    asyncio.run(scenario())
    check_latencies(times, CLOSE_SECONDS, CONFIRM_SECONDS)


def test_a_turn_that_waits_for_its_first_word(stack, model):
    model.script("silent", hang())

    async def scenario():
        async with connect(stack.url) as client:
            await client.ask_only("silent")
            await asyncio.to_thread(model.wait_for, "silent")
            await client.send({"type": "cancel"})
            assert (await client.collect()).final["type"] == "cancelled"
            await eventually(lambda: not model.asked("silent")[0].open, what="the stream is closed")
            await client.ping()
            (await client.ask("next")).check_streamed()
    asyncio.run(scenario())


def test_one_cancelled_for_all(stack, model):
    model.script("many", say(["word "] * 500, delay=0.02))
    before = len(model.asked("many"))

    async def scenario():
        async with connect(stack.url) as client:
            for stream in (True, False, True):
                await client.ask_only("many", stream)
            await client.until_chunk()
            await client.send({"type": "cancel"})
            answer = await client.collect()
            assert answer.final["type"] == "cancelled"
            await client.ping()
            (await client.ask("next")).check_streamed()
    asyncio.run(scenario())
    assert len(model.asked("many")) == before + 1


def test_a_thousand_cancels_at_random_moments(stack, model):
    """Before the first word, in between, around the last: one final message each, and no stream left open."""
    model.default = lambda request: say([f"{request.question}:{n} " for n in range(DELTAS)], delay=0.005)
    rng = random.Random(7)
    ends = {"cancelled": 0, "stream_end": 0}

    async def one(client, name):
        await client.ask_only(name)
        # A moment in the answer's life, sometimes counted in chunks and sometimes in time.
        frames = []
        if rng.random() < 0.5:
            for _ in range(rng.choice([0, 1, 2, 2, 3, DELTAS, DELTAS + 1, DELTAS + 1])):
                frames.append(await client.receive())
                if frames[-1]["type"] in FINALS:
                    break
        else:
            await asyncio.sleep(rng.random() * rng.choice([0.005, 0.1]))
        await client.send({"type": "cancel"})
        await client.send({"type": "ping"})
        # The last two in either order: where an answer had ended before, the cancel of an idle connection is confirmed.
        while not {"cancelled", "pong"} <= {frame["type"] for frame in frames}:
            frames.append(await client.receive())
        ends[check(name, [frame for frame in frames if frame["type"] != "pong"])] += 1

    def check(name, frames):
        types = [frame["type"] for frame in frames]
        finals = [kind for kind in types if kind in FINALS]
        assert finals in (["cancelled"], ["stream_end", "cancelled"]), types
        chunks = [frame["content"] for frame in frames if frame["type"] == "stream_chunk"]
        started = ["stream_start"] if "stream_start" in types else []
        assert types == started + ["stream_chunk"] * len(chunks) + finals, types
        assert "".join(f"{name}:{n} " for n in range(DELTAS)).startswith("".join(chunks)), "none of another answer"
        return finals[0]

    async def worker(number, count):
        async with connect(stack.url) as client:
            for n in range(count):
                await one(client, f"race-{number}-{n}")

    async def scenario():
        await asyncio.gather(*(worker(number, RACES // 10) for number in range(10)))
        await eventually(lambda: not model.open_streams(), what="no stream is left open")
    asyncio.run(scenario())
    model.default = None
    assert ends["cancelled"] > RACES / 5 and ends["stream_end"] > RACES / 20, ends


def test_any_order_of_questions_and_cancels(stack, model):
    """Nobody waits for anything: whatever the order, each answer ends once, by its end or by the first cancel after its
    question, and no piece of it comes later."""
    model.default = lambda request: say([f"{request.question}:{n} " for n in range(DELTAS)], delay=0.002)

    async def talk(client, name, rng):
        sent = []
        for number in range(STEPS):
            if rng.random() < 0.4:
                sent.append(None)
                await client.send({"type": "cancel"})
            else:
                sent.append(f"{name}-{number}")
                await client.ask_only(sent[-1])
            if rng.random() < 0.5:
                await asyncio.sleep(rng.random() * 0.03)
        sent.append(f"{name}-last")
        await client.ask_only(sent[-1])
        return sent

    def check(sent, frames):
        waiting, text = list(sent), ""
        for frame in frames:
            if frame["type"] == "cancelled":
                del waiting[:waiting.index(None) + 1]
                text = ""
            elif frame["type"] == "stream_end":
                assert text == "".join(f"{waiting[0]}:{n} " for n in range(DELTAS)), (waiting[0], text)
                del waiting[0]
                text = ""
            else:
                assert waiting[0] is not None, "an answer that nobody waits for"
                text += frame.get("content", "")
                assert "".join(f"{waiting[0]}:{n} " for n in range(DELTAS)).startswith(text), (waiting[0], text)
        assert not waiting

    async def one(number):
        rng = random.Random(number)
        name = f"order-{number}"
        async with connect(stack.url) as client:
            talking = asyncio.ensure_future(talk(client, name, rng))
            frames, last = [], ""
            while not last.endswith(f"{name}-last:{DELTAS - 1} ") or frames[-1]["type"] != "stream_end":
                frames.append(await client.receive())
                last += frames[-1].get("content", "")
            check(await talking, frames)

    async def scenario():
        await asyncio.gather(*(one(number) for number in range(20)))
        await eventually(lambda: not model.open_streams(), what="no stream is left open")
    asyncio.run(scenario())
    model.default = None


def test_cancel_from_one_connection_leaves_the_others(stack, model):
    model.script("other", say(["word "] * 30, delay=0.02))

    async def scenario():
        async with connect(stack.url) as one, connect(stack.url) as two:
            await one.ask_only("other")
            await two.ask_only("other")
            await one.until_chunk()
            await two.until_chunk()
            await one.send({"type": "cancel"})
            assert (await one.collect()).final["type"] == "cancelled"
            assert (await two.collect()).final["type"] == "stream_end"
    asyncio.run(scenario())


def test_an_idle_connection(stack):
    async def scenario():
        async with connect(stack.url) as client:
            for _ in range(3):
                assert (await cancel(client)).types == ["cancelled"]
            (await client.ask("next")).check_streamed()
            assert (await cancel(client)).types == ["cancelled"]
    asyncio.run(scenario())


def test_two_cancels_of_one_answer(stack, model):
    """Each is confirmed, and the next question is none of theirs."""
    model.script("doubly", say(["word "] * 500, delay=0.02))

    async def scenario():
        async with connect(stack.url) as client:
            await client.ask_only("doubly")
            await client.until_chunk()
            await client.send({"type": "cancel"})
            await client.send({"type": "cancel"})
            await client.ask_only("next")
            assert (await client.collect()).final["type"] == "cancelled"
            assert (await client.collect()).types == ["cancelled"]
            (await client.collect()).check_streamed()
            await client.ping()
    asyncio.run(scenario())


def test_while_the_model_waits_for_a_tool(stack, model):
    model.script("tooling", call(("sleeps", {}), text="Let me see. "), report_results())

    async def scenario():
        async with connect(stack.url) as client:
            await client.ask_only("tooling")
            await eventually(lambda: running(TAG), what="the tool runs")
            assert (await cancel(client)).text in ("", "Let me see. ")
            await eventually(lambda: not running(TAG), what="the tool was ended")
            (await client.ask("next")).check_streamed()
    asyncio.run(scenario())
    assert len(model.asked("tooling")) == 1


def test_while_the_client_waits_for_a_tool(stack, model):
    """Its own call and an answer beside it: one `cancelled` ends both, and the call is not answered any more."""
    model.script("beside", say(["word "] * 500, delay=0.02))

    async def scenario():
        async with connect(stack.url) as client:
            for ask_too in (False, True):
                await client.send({"type": "tool_call", "tool_name": "sleeps", "params": {}})
                await eventually(lambda: running(TAG), what="the tool runs")
                if ask_too:
                    await client.ask_only("beside")
                    await client.until_chunk()
                await cancel(client)
                await eventually(lambda: not running(TAG), what="the tool was ended")
                await client.ping()
            (await client.ask("next")).check_streamed()
    asyncio.run(scenario())


def test_a_provider_that_was_asked_to_wait_for(stack, model):
    """Between a 429 and the second try: there is none."""
    model.script("throttled", refuse(429, retry_after=1))

    async def scenario():
        async with connect(stack.url) as client:
            await client.ask_only("throttled")
            await asyncio.to_thread(model.wait_for, "throttled")
            await cancel(client)
            await asyncio.sleep(1.2)
    asyncio.run(scenario())
    assert len(model.asked("throttled")) == 1


# ---- Turns that no agent runs yet

def marked_turns(stack):
    """Those whose record says: cancelled, before anybody had begun."""
    answer = json.loads(stack.broker.request(
        "$JS.API.STREAM.INFO.KV_parley_turns", json.dumps({"subjects_filter": "$KV.parley_turns.>"}).encode()))
    found = []
    for subject in answer["state"].get("subjects") or {}:
        turn = subject.removeprefix("$KV.parley_turns.")
        message = stack.broker.request("$JS.API.STREAM.MSG.GET.KV_parley_turns",
                                       json.dumps({"last_by_subj": subject}).encode())
        record = base64.b64decode(json.loads(message)["message"]["data"])
        # A TurnRecord of these two fields only: turn = 1, state = 2 with CANCEL_ASKED.
        if record == b"\x0a" + bytes([len(turn)]) + turn.encode() + b"\x10\x01":
            found.append(turn)
    return found


def test_no_agent_runs(model):
    """The mark in the turns bucket is what an agent finds that is started later: it runs none of them."""
    with Stack(model=model) as stack:
        stack.start(router=1, gateway=1)

        async def scenario():
            async with connect(stack.url) as client:
                for question in ("unborn", "stillborn"):
                    await client.ask_only(question)
                await eventually(lambda: stack.metric("router", "parley_questions_total", 'result="accepted"') == 1,
                                 what="the first is queued")
                assert (await cancel(client)).types == ["cancelled"]
                assert len(marked_turns(stack)) == 1
                agent = await asyncio.to_thread(stack.add, "agent")
                (await client.ask("born")).check_streamed()
                await eventually(lambda: agent.metric("parley_turns_running") == 0, what="the agent is idle")
                await client.ping()
        asyncio.run(scenario())
    assert not model.asked("unborn") and not model.asked("stillborn")


def test_every_agent_is_busy(model):
    """A turn in the queue behind another one's: it is cancelled at once, and never starts."""
    model.script("occupied", say(["word "] * 5000, delay=0.02))
    with Stack(model=model, AGENT_MAX_TURNS=1) as stack:
        stack.start(router=1, gateway=1, agent=1)

        async def scenario():
            async with connect(stack.url) as busy, connect(stack.url) as waiting:
                await busy.ask_only("occupied")
                await busy.until_chunk()
                await waiting.ask_only("queued")
                await eventually(lambda: stack.metric("router", "parley_questions_total", 'result="accepted"') == 2,
                                 what="it is queued")
                assert (await cancel(waiting)).types == ["cancelled"]
                await cancel(busy)
                (await waiting.ask("after that")).check_streamed()
        asyncio.run(scenario())
    assert not model.asked("queued")


@pytest.mark.parametrize("step", ["$JS.API.STREAM.MSG.GET.KV_parley_turns", "$KV.parley_turns."])
def test_while_an_agent_claims_it(model, step):
    """It has the job, and is about to read or to write the turn's record: it does not answer the cancel, finds the mark,
    and prompts nobody."""
    model.script("claimed", hang())
    before = len(model.asked("claimed"))
    with Stack(model=model) as stack, NatsProxy(stack.broker.port) as proxy:
        stack.start(router=1, gateway=1)
        agent = stack.add("agent", NATS_URL=proxy.url)

        async def scenario():
            async with connect(stack.url) as client:
                proxy.hold(step)
                await client.ask_only("claimed")
                await eventually(lambda: proxy.held, what="the claim is under way")
                await client.send({"type": "cancel"})
                assert (await client.collect()).types == ["cancelled"]
                assert len(marked_turns(stack)) == 1
                proxy.release()
                await eventually(lambda: agent.metric("parley_turns_total", 'state="cancelled"') == 1, what="it ends so")
                await client.ping()
                (await client.ask("next")).check_streamed()
        asyncio.run(scenario())
        stack.remove(agent)
    assert len(model.asked("claimed")) == before
