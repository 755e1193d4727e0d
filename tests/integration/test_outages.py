"""One part of parley is gone, or frozen: one clear error in bounded time, and when it is back the next question works."""

import asyncio
import contextlib
import time

import pytest

from client import connect, eventually
from latency import check_latencies
from model_server import call, report_results, say
from nats_proxy import NatsProxy
from stack import sized

SETTINGS = {"COMMAND_TIMEOUT_MS": 1500, "TURN_START_TIMEOUT_MS": 1500, "TURN_SILENCE_MS": 1000,
            "TOOL_CALL_TIMEOUT_MS": 1500, "CANCEL_TIMEOUT_MS": 1500, "JOB_ACK_WAIT_MS": 1000,
            "AGENT_SAVE_TIMEOUT_MS": 2500}
AT_ONCE_SECONDS = sized(1, 3)  # below every wait of SETTINGS
BOUND_SECONDS = sized(5, 15)
PING_SECONDS = sized(0.050, 1.0)


@contextlib.asynccontextmanager
async def without(stack, service):
    """Ends all of that service as an operator would; afterwards they are there again."""
    processes = stack.of(service)
    for process in processes:
        await asyncio.to_thread(stack.remove, process)
    try:
        yield
    finally:
        for process in processes:
            process.killed = False
            await asyncio.to_thread(stack.restart, process)


@contextlib.asynccontextmanager
async def frozen_broker(stack):
    stack.broker.freeze()
    try:
        yield
    finally:
        stack.broker.thaw()


async def all_ready(stack):
    for process in stack.running():
        await eventually(process.ready, 30, f"{process.name} is ready again")


async def ask_in_vain(client, question, seconds, stream=True):
    """Exactly one error, within so many seconds; pings are answered before and after."""
    begun = time.monotonic()
    answer = await client.ask(question, stream)
    took = time.monotonic() - begun
    assert answer.final["type"] == "error", answer.final
    assert answer.final["error"].startswith("Streaming failed: " if stream else "Query failed: ")
    assert took < seconds, f"{took:.2f} s"
    await client.ping()
    return answer.final["error"]


async def works(client, question="and now"):
    assert (await client.ask(question)).check_streamed().text == f"You said: {question}"


def test_no_router(stack, model):
    async def scenario():
        async with connect(stack.url) as client:
            async with without(stack, "router"):
                for stream in (True, False):
                    await ask_in_vain(client, "nobody routes", AT_ONCE_SECONDS, stream)
                await client.send({"type": "tool_call", "tool_name": "calculator", "params": {"expression": "1"}})
                await client.expect_error("Tool call failed: ", AT_ONCE_SECONDS)
            await works(client)
    asyncio.run(scenario())
    assert not model.asked("nobody routes")


def test_no_agent(stack, model):
    async def scenario():
        async with connect(stack.url) as client:
            async with without(stack, "agent"):
                for stream in (True, False):
                    await ask_in_vain(client, "nobody answers", BOUND_SECONDS, stream)
            await works(client)
    asyncio.run(scenario())
    assert not model.asked("nobody answers"), "what was told to have failed is not run later"


@pytest.mark.parametrize("service", ["router", "agent"])
def test_a_frozen_one(stack, model, service):
    """It has taken the question, perhaps, and says nothing. When it wakes up, it does not run what was given up."""
    [process] = stack.of(service)
    question = f"frozen {service}"

    async def scenario():
        async with connect(stack.url) as client:
            process.freeze()
            try:
                for stream in (True, False):
                    await ask_in_vain(client, question, BOUND_SECONDS, stream)
            finally:
                process.thaw()
            await works(client)
    asyncio.run(scenario())
    assert not model.asked(question)


def test_an_agent_frozen_in_mid_answer(stack, model):
    """Shorter than it takes to be given up: a pause."""
    text = [f"{n} " for n in range(100)]
    model.script("frozen short", say(text, delay=0.02))
    [agent] = stack.of("agent")

    async def scenario():
        async with connect(stack.url) as client:
            await client.ask_only("frozen short")
            begun = await client.until_chunk()
            agent.freeze()
            await asyncio.sleep(0.4)
            await client.send({"type": "ping"})
            while (frame := await client.receive(AT_ONCE_SECONDS))["type"] != "pong":
                begun += frame["content"]
            agent.thaw()
            rest = await client.collect()
            assert rest.final["type"] == "stream_end" and begun + rest.text == "".join(text)
            await works(client)
    asyncio.run(scenario())
    assert len(model.asked("frozen short")) == 1


def test_no_tools(stack, model):
    model.script("toolless", call(("calculator", {"expression": "1 + 1"})), report_results())

    async def scenario():
        async with connect(stack.url) as client:
            async with without(stack, "tools"):
                await client.send({"type": "tool_call", "tool_name": "calculator", "params": {"expression": "1"}})
                await client.expect_error("Tool call failed: ", AT_ONCE_SECONDS)
                begun = time.monotonic()
                answer = (await client.ask("toolless")).check_streamed()
                assert "the tools service is not there" in answer.text
                assert time.monotonic() - begun < BOUND_SECONDS
            await client.send({"type": "tool_call", "tool_name": "calculator", "params": {"expression": "1 + 1"}})
            assert (await client.expect("tool_result"))["result"] == 2
            await works(client)
    asyncio.run(scenario())


def test_frozen_tools(stack, model):
    """A tools service that takes calls and never answers."""
    model.script("ice-tools", call(("calculator", {"expression": "1 + 1"})), report_results())
    [tools] = stack.of("tools")

    async def scenario():
        async with connect(stack.url) as client:
            tools.freeze()
            try:
                begun = time.monotonic()
                await client.send({"type": "tool_call", "tool_name": "calculator", "params": {"expression": "1"}})
                await client.expect_error("Tool call failed: ", BOUND_SECONDS)
                assert "did not answer in time" in (await client.ask("ice-tools")).check_streamed().text
                assert time.monotonic() - begun < BOUND_SECONDS
            finally:
                tools.thaw()
            await client.send({"type": "tool_call", "tool_name": "calculator", "params": {"expression": "1 + 1"}})
            assert (await client.expect("tool_result"))["result"] == 2
            await works(client)
    asyncio.run(scenario())


def test_no_broker(stack, model):
    text = [f"{n} " for n in range(150)]
    model.script("over the gap", say(text, delay=0.02))

    async def scenario():
        async with connect(stack.url) as client, connect(stack.url) as reader:
            await reader.ask_only("over the gap")
            begun = await reader.until_chunk()
            await asyncio.to_thread(stack.broker.kill)
            await eventually(lambda: not stack.gateway.ready(), what="the gateway notices")
            for stream in (True, False):
                await ask_in_vain(client, "into the void", AT_ONCE_SECONDS, stream)
            await client.send({"type": "tool_call", "tool_name": "calculator", "params": {"expression": "1"}})
            await client.expect_error("Tool call failed: ", AT_ONCE_SECONDS)
            await client.send({"type": "cancel"})
            await client.expect("cancelled", AT_ONCE_SECONDS)
            await asyncio.to_thread(stack.broker.start)
            await all_ready(stack)
            await works(client)
            rest = await reader.collect(60)
            assert rest.final["type"] == "stream_end" and begun + rest.text == "".join(text)
    asyncio.run(scenario())
    assert not model.asked("into the void")


def test_a_cancel_without_a_broker_is_confirmed(stack, model):
    """And it holds: when the broker is back, the agent is told."""
    model.script("cut off", say(["word "] * 5000, delay=0.02))

    async def scenario():
        async with connect(stack.url) as client:
            await client.ask_only("cut off")
            await client.until_chunk()
            await asyncio.to_thread(stack.broker.kill)
            await client.send({"type": "cancel"})
            begun = time.monotonic()
            assert (await client.collect()).final["type"] == "cancelled"
            assert time.monotonic() - begun < BOUND_SECONDS
            await client.ping()
            await asyncio.to_thread(stack.broker.start)
            await all_ready(stack)
            await works(client)
        await eventually(lambda: not model.open_streams(), 30, "no stream is left open")
    asyncio.run(scenario())


def test_an_answer_outlives_an_outage(stack, model):
    """One that is longer than an answer may be lost, with a broker whose streams take their time to come back."""
    text = [f"{n} " for n in range(400)]
    model.script("long outage", say(text, delay=0.02))
    [agent] = stack.of("agent")

    async def scenario():
        async with connect(f"ws://127.0.0.1:{gateway.port}/ws/agent") as client:
            await client.ask_only("long outage")
            begun = await client.until_chunk()
            await asyncio.to_thread(stack.broker.kill)
            await asyncio.sleep(4)
            await client.send({"type": "ping"})
            while (frame := await client.receive())["type"] != "pong":
                begun += frame["content"]
            agent.freeze()
            try:
                proxy.hold("$JS.API.")
                await asyncio.to_thread(stack.broker.start)
                await eventually(lambda: proxy.held, what="the gateway asks for its streams")
                await asyncio.sleep(1)
            finally:
                agent.thaw()
            proxy.release()
            rest = await client.collect(60)
            assert rest.final["type"] == "stream_end" and begun + rest.text == "".join(text), rest.final
    with NatsProxy(stack.broker.port) as proxy:
        gateway = stack.add("gateway", NATS_URL=proxy.url, TURN_LOST_TIMEOUT_MS=3000)
        asyncio.run(scenario())
        stack.remove(gateway)


def test_answers_that_end_during_an_outage(stack, model):
    """None is lost, wherever in the outage the time to save it would have begun or been over."""
    texts = [[f"{n} " for n in range(10 + 5 * client)] for client in range(20)]
    for number, text in enumerate(texts):
        model.script(f"ends {number:02}", say(text, delay=0.02))

    async def one(number, begun, back):
        async with connect(stack.url) as client:
            await client.ask_only(f"ends {number:02}")
            text = await client.until_chunk()
            begun.append(number)
            await back.wait()
            rest = await client.collect()
            assert rest.final["type"] == "stream_end" and text + rest.text == "".join(texts[number]), rest.final

    async def scenario():
        begun, back = [], asyncio.Event()
        clients = [asyncio.ensure_future(one(number, begun, back)) for number in range(len(texts))]
        await eventually(lambda: len(begun) == len(texts), what="all have begun")
        await asyncio.to_thread(stack.broker.kill)
        await asyncio.sleep(2.5)
        await asyncio.to_thread(stack.broker.start)
        back.set()
        await asyncio.gather(*clients)
    asyncio.run(scenario())


async def ping_until(client, event, times):
    while not event.is_set():
        begun = time.monotonic()
        await client.ping()
        times.append(time.monotonic() - begun)
        await asyncio.sleep(0.01)


def test_a_frozen_broker(stack, model):
    """Pings are answered as ever, on a connection that asks nothing and on one that waits; what was asked meanwhile ends
    with an error and is never run; an answer under way goes on when it thaws; a cancelled one is cancelled."""
    text = [f"{n} " for n in range(100)]
    model.script("into the ice", say(text, delay=0.02))
    model.script("given up", say(["word "] * 2000, delay=0.02))

    async def scenario():
        times, done = [], asyncio.Event()
        async with contextlib.AsyncExitStack() as connections:
            asker, caller, reader, canceller, pinger = [
                await connections.enter_async_context(connect(stack.url)) for _ in range(5)]
            await reader.ask_only("into the ice")
            await canceller.ask_only("given up")
            begun = await reader.until_chunk()
            await canceller.until_chunk()
            pings = asyncio.ensure_future(ping_until(pinger, done, times))
            async with frozen_broker(stack):
                await asyncio.gather(asked(asker), called(caller), cancelled(canceller))
            await all_ready(stack)
            rest = await reader.collect(60)
            assert rest.final["type"] == "stream_end" and begun + rest.text == "".join(text)
            done.set()
            await pings
            for client in (asker, caller, canceller):
                await works(client)
            await eventually(lambda: not model.open_streams(), 30, "no stream is left open")
        assert len(times) > 50
        check_latencies(times, PING_SECONDS, AT_ONCE_SECONDS)

    async def asked(client):
        await ask_in_vain(client, "unheard", BOUND_SECONDS)
        await ask_in_vain(client, "unheard", BOUND_SECONDS, stream=False)

    async def called(client):
        await client.send({"type": "tool_call", "tool_name": "calculator", "params": {"expression": "1"}})
        await client.ping()
        await client.expect_error("Tool call failed: ", BOUND_SECONDS)

    async def cancelled(client):
        await client.send({"type": "cancel"})
        begun = time.monotonic()
        assert (await client.collect()).final["type"] == "cancelled"
        assert time.monotonic() - begun < BOUND_SECONDS
        await client.ping()
    asyncio.run(scenario())
    assert not model.asked("unheard"), "what was told to have failed is not run later"


def test_a_broker_frozen_for_long(stack, model):
    """Long enough to be given up and connected to anew."""
    model.script("long ice", say(["word "] * 50, delay=0.02))

    async def scenario():
        async with connect(stack.url) as client:
            async with frozen_broker(stack):
                await ask_in_vain(client, "too long", BOUND_SECONDS)
                await eventually(lambda: not stack.gateway.ready(), 30, "the gateway gives the broker up")
                await ask_in_vain(client, "too long", AT_ONCE_SECONDS)
            await all_ready(stack)
            await works(client)
            (await client.ask("long ice")).check_streamed()
    asyncio.run(scenario())
    assert not model.asked("too long")
