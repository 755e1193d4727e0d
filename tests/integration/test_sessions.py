"""Going on over a later connection with ?parley=1&resume=TOKEN&offset=n: the rest of the answer, its end, and the
conversation, on any gateway."""

import asyncio
import base64
import json
import socket
import time

import pytest
import websockets

import messages
import web_server
from bus import Bus, key_of
from client import connect, eventually
from model_server import say
from nats_proxy import NatsProxy
from stack import Stack
from tab import Tab, tab
from web_server import Raw, frame

SETTINGS = {"TURN_SILENCE_MS": 1000}
TEXT = [f"wörd{n} " for n in range(150)]
WHOLE = "".join(TEXT)


def test_nothing_of_it_without_the_parameter(stack):
    async def scenario():
        async with connect(stack.url) as client:
            await client.ping()
    asyncio.run(scenario())


@pytest.mark.parametrize("elsewhere", [False, True])
def test_in_mid_answer(stack, model, elsewhere):
    model.script("long story", say(TEXT, delay=0.02))
    gateway = stack.add("gateway") if elsewhere else stack.gateway

    async def scenario():
        async with tab(stack.gateway) as page:
            await page.ask("long story")
            for until in (20, 300, 310):  # several times
                await page.read(until)
                await page.vanish()
                assert (await page.open(gateway))["resumed"] is True
            assert await page.read() == "stream_end"
            assert page.text == WHOLE
            assert await page.is_quiet()
            page.text = ""
            await page.ask("and now")
            assert await page.read() == "stream_end"
            assert page.text == "You said: and now"
    asyncio.run(scenario())
    assert len(model.asked("long story")) >= 1
    messages = [message["content"] for message in model.asked("and now")[-1].messages]
    assert WHOLE in messages, "the conversation goes on"
    if elsewhere:
        stack.remove(gateway)


@pytest.mark.parametrize("elsewhere", [False, True])
def test_after_the_end(stack, model, elsewhere):
    """It ended while nobody was there."""
    question = f"soon over {elsewhere}"
    model.script(question, say(TEXT[:30], delay=0.01))
    gateway = stack.add("gateway") if elsewhere else stack.gateway

    async def scenario():
        async with tab(stack.gateway) as page:
            await page.ask(question)
            await page.read(10)
            await page.vanish()
            [agent] = stack.of("agent")
            await eventually(lambda: agent.metric("parley_turns_running") == 0, what="the turn has ended")
            assert (await page.open(gateway))["resumed"] is True
            assert await page.read() == "stream_end"
            assert page.text == "".join(TEXT[:30])
            assert await page.is_quiet()
    asyncio.run(scenario())
    if elsewhere:
        stack.remove(gateway)


def test_an_end_that_was_received_is_not_told_again(stack):
    async def scenario():
        async with tab(stack.gateway) as page:
            await page.ask("short")
            assert await page.read() == "stream_end"
            first, page.text = page.text, ""
            assert first == "You said: short"
            assert await page.is_quiet()  # the pong to the gateway's own ping has gone before this

            async def settled():
                await page.vanish()
                return (await page.open())["resumed"] is False
            for _ in range(50):
                if await settled():
                    break
                assert await page.read() == "stream_end"
                page.text = ""
                await asyncio.sleep(0.05)
            else:
                raise AssertionError("the end is told for ever")
            assert await page.is_quiet()
    asyncio.run(scenario())


def test_an_unknown_token(stack):
    async def scenario():
        async with tab(stack.gateway) as page:
            for token in ("nobody-knows-this-one", "%00", "a" * 65, "*"):
                session = await page.open(token=token)
                assert not session.get("resumed") and session["resume"] != token
                page.text = ""
                await page.ask("begin")
                assert await page.read() == "stream_end"
    asyncio.run(scenario())


def test_what_is_sent_at_once_waits_for_the_session(stack, model):
    async def scenario():
        async with tab(stack.gateway) as page:
            await page.ask("remember the teapot")
            assert await page.read() == "stream_end"
            await page.vanish()
            page.text = ""
            page.socket = await websockets.connect(
                f"ws://127.0.0.1:{stack.gateway.port}/ws/agent?parley=1&resume={page.token}&offset=0")
            await page.ask("what was it")
            assert (await page.receive())["type"] == "connected"
            assert (await page.receive())["type"] == "session"
            while not page.text.endswith("You said: what was it"):  # the end before it may be told again
                assert await page.read() == "stream_end"
    asyncio.run(scenario())
    assert "remember the teapot" in [message["content"] for message in model.asked("what was it")[-1].messages]


def test_a_cancel_stops_a_resumed_answer(stack, model):
    model.script("endless", say(["word "] * 3000, delay=0.02))

    async def scenario():
        async with tab(stack.gateway) as page:
            await page.ask("endless")
            await page.read(10)
            await page.vanish()
            assert (await page.open())["resumed"] is True
            await page.read(40)
            await page.socket.send('{"type":"cancel"}')
            assert await page.read() == "cancelled"
            await eventually(lambda: not model.open_streams(), what="the stream is closed")
            await page.vanish()
            assert (await page.open())["resumed"] is False
    asyncio.run(scenario())


@pytest.mark.parametrize("conversation", [None, "a\u007fb\u0085c"], ids=["its own", "a strange name"])
def test_yychat_too(stack, model, conversation):
    model.script("long chat", say(TEXT, delay=0.01))
    url = f"ws://127.0.0.1:{stack.gateway.port}/ws/chat?parley=1"

    async def scenario():
        first = await websockets.connect(url)
        assert json.loads(await first.recv())["type"] == "connection_established"
        token = json.loads(await first.recv())["resume"]
        question = {"type": "text_message", "content": "long chat", "conversation_id": conversation}
        await first.send(json.dumps(question))
        had = ""
        while len(had) < 50:
            frame = json.loads(await first.recv())
            had += frame["content"] if frame["type"] == "stream_chunk" else ""
        first.transport.abort()
        async with websockets.connect(f"{url}&resume={token}&offset={len(had.encode())}") as second:
            assert json.loads(await second.recv())["type"] == "connection_established"
            assert json.loads(await second.recv())["resumed"] is True
            while (frame := json.loads(await second.recv()))["type"] == "stream_chunk":
                had += frame["content"]
            assert frame["type"] == "stream_end" and frame["full_content"] == had == WHOLE
    asyncio.run(scenario())


def test_another_protocol_and_a_wrong_offset(stack):
    async def scenario():
        async with tab(stack.gateway) as page:
            await page.ask("story")
            await page.vanish()
            page.text = "x" * 100000  # more than there will ever be
            session = await page.open()
            if session["resumed"]:
                assert await page.read() == "stream_end"
            other = await websockets.connect(f"ws://127.0.0.1:{stack.gateway.port}/ws/chat?parley=1&resume={page.token}")
            assert json.loads(await other.recv())["type"] == "connection_established"
            assert json.loads(await other.recv())["resumed"] is False
            await other.close()
    asyncio.run(scenario())


async def forget(bus, bucket):
    """As if all in it were too old."""
    assert json.loads(await bus.request(f"$JS.API.STREAM.PURGE.KV_{bucket}", b""))["success"]


def record_of(token):
    return f"$KV.parley_sessions.{key_of(token)}"


async def read_session(bus, token):
    stored = json.loads(await bus.request(
        "$JS.API.STREAM.MSG.GET.KV_parley_sessions", json.dumps({"last_by_subj": record_of(token)}).encode()))
    return messages.Session.FromString(base64.b64decode(stored.get("message", {}).get("data", "")))


async def make_old(bus, token):
    """As if a session's last question had been asked an hour ago."""
    session = await read_session(bus, token)
    assert abs(session.asked_ms / 1000 - time.time()) < 300
    session.asked_ms -= 3600 * 1000
    await bus.request(record_of(token), session.SerializeToString())


def test_it_is_kept_longer_than_a_turn(stack, model):
    """In a bucket whose records age like conversations do."""
    async def scenario():
        async with Bus(stack.broker.port) as bus, tab(stack.gateway) as page:
            await page.ask("remember the kettle")
            assert await page.read() == "stream_end"
            await page.vanish()
            await forget(bus, "parley_turns")
            await page.open()
            page.text = ""
            await page.ask("what was it about")
            while not page.text.endswith("You said: what was it about"):  # the end before it may be told again
                assert await page.read() == "stream_end"
            ages = [json.loads(await bus.request(f"$JS.API.STREAM.INFO.KV_parley_{name}", b""))["config"]["max_age"]
                    for name in ("sessions", "conversations", "turns")]
            assert ages[0] == ages[1] > ages[2]
    asyncio.run(scenario())
    asked = [message["content"] for message in model.asked("what was it about")[-1].messages]
    assert "remember the kettle" in asked


@pytest.mark.parametrize("kept, old", [(True, False), (True, True), (False, True)])
def test_an_answer_that_ended_unread_long_ago(stack, model, kept, old):
    """Its record is gone; its conversation has it, or has been forgotten, too."""
    question = f"unread {kept} {old}"
    model.script(question, say(TEXT[:30], delay=0.01))

    async def scenario():
        async with Bus(stack.broker.port) as bus, tab(stack.gateway) as page:
            await page.ask(question)
            await page.read(10)
            await page.vanish()
            [agent] = stack.of("agent")
            await eventually(lambda: agent.metric("parley_turns_running") == 0, what="the turn has ended")
            await eventually(lambda: stack.gateway.metric("parley_answers_in_flight") == 0, what="here, too")
            await forget(bus, "parley_turns")
            if not kept:
                await forget(bus, "parley_conversations")
            if old:
                await make_old(bus, page.token)
            assert (await page.open())["resumed"] is True
            assert await page.read() == ("stream_end" if kept else "error")
            assert page.text == "".join(TEXT[:30]) or not kept
            page.text = ""
            await page.ask("and now")
            assert await page.read() == "stream_end"
    asyncio.run(scenario())


LOST_MS = 1500


async def leave_it_waiting(stack, page, is_kept):
    """Asks what nobody is there to answer, and comes again, to another gateway, when it is in the session's record."""
    async with Bus(stack.broker.port) as bus:
        await page.ask("is anybody there")
        while not is_kept(await read_session(bus, page.token)):
            await asyncio.sleep(0.02)
    await page.vanish()
    assert (await page.open(stack.of("gateway")[1]))["resumed"] is True


def test_a_question_may_wait_longer_than_an_answer_may_be_silent(model):
    with Stack(model=model, TURN_SILENCE_MS=300, TURN_LOST_TIMEOUT_MS=LOST_MS, TURN_START_TIMEOUT_MS=60000) as stack:
        stack.start(router=1, gateway=2)

        async def scenario():
            async with tab(stack.gateway) as page:
                await leave_it_waiting(stack, page, lambda record: record.start_deadline_ms > 0)
                until = time.monotonic() + 2 * LOST_MS / 1000
                while time.monotonic() < until:
                    assert await page.is_quiet()
                    await asyncio.sleep(0.1)
                await asyncio.to_thread(stack.add, "agent")
                assert await page.read() == "stream_end"
                assert page.text == "You said: is anybody there"
        asyncio.run(scenario())


def test_a_question_that_waited_too_long(model):
    with Stack(model=model, TURN_SILENCE_MS=300, TURN_LOST_TIMEOUT_MS=LOST_MS, TURN_START_TIMEOUT_MS=500) as stack:
        stack.start(router=1, gateway=2)

        async def scenario():
            async with tab(stack.gateway) as page:
                await leave_it_waiting(stack, page, lambda record: record.turn)
                while (frame := await page.receive())["type"] != "error":
                    pass
                assert "nobody was free to answer in time" in frame["error"]
        asyncio.run(scenario())


async def try_later(gateway, page):
    """Comes with its token, and is told to come again."""
    socket = await websockets.connect(
        f"ws://127.0.0.1:{gateway.port}/ws/agent?parley=1&resume={page.token}&offset=0", ping_interval=None)
    with pytest.raises(websockets.ConnectionClosed):
        while True:
            assert json.loads(await asyncio.wait_for(socket.recv(), 30))["type"] == "connected"
    assert socket.close_code == 1013


def test_a_store_that_does_not_answer_costs_no_token(stack):
    with NatsProxy(stack.broker.port) as proxy:
        gateway = stack.add("gateway", NATS_URL=proxy.url)

        async def scenario():
            async with tab(gateway) as page:
                await page.ask("short")
                assert await page.read() == "stream_end"
                token = page.token
                proxy.hold("$JS.API.STREAM.MSG.GET.KV_parley_sessions")
                await page.vanish()
                await try_later(gateway, page)
                proxy.release()
                await page.open()
                assert page.token == token
        asyncio.run(scenario())
        stack.remove(gateway)


def test_a_broker_that_is_away_costs_no_token(model):
    with Stack(model=model, **SETTINGS) as stack:
        stack.start(router=1, agent=1, gateway=1)

        async def scenario():
            async with tab(stack.gateway) as page:
                await page.ask("remember the ladle")
                assert await page.read() == "stream_end"
                token = page.token
                await page.vanish()
                await asyncio.to_thread(stack.broker.kill)
                await try_later(stack.gateway, page)
                await asyncio.to_thread(stack.broker.start)
                await asyncio.to_thread(stack.gateway.wait_ready)
                await page.open()
                assert page.token == token
        asyncio.run(scenario())


class Listener:
    """A gateway, as Raw wants it."""

    def __init__(self, gateway):
        self.gateway = gateway

    def connect(self):
        return socket.create_connection(("127.0.0.1", self.gateway.port), timeout=15)


def read_until(ws, opcode, ends=b""):
    """The first frame of this kind that has this in it."""
    while True:
        kind, payload = ws.read()
        assert kind != web_server.CLOSE, payload
        if kind == opcode and ends in payload:
            return payload


def resumed(page):
    async def scenario():
        session = await page.open()
        if session["resumed"]:
            assert await page.read() == "stream_end"
        await page.vanish()
        return session["resumed"]
    return asyncio.run(scenario())


def test_the_pong_to_an_earlier_ping_confirms_no_end(stack):
    """It was on its way when the end was written."""
    gateway = stack.add("gateway", WS_HEARTBEAT_INTERVAL=5)
    page = Tab(gateway)
    with Raw(Listener(gateway), path="/ws/agent?parley=1") as ws:
        page.token = json.loads(read_until(ws, web_server.TEXT, b'"session"'))["resume"]
        earlier = read_until(ws, web_server.PING)
        ws.send(frame(web_server.TEXT, b'{"type":"streaming_query","query":"quick"}'))
        read_until(ws, web_server.TEXT, b"stream_end")
        ws.send(frame(web_server.PONG, earlier))
        read_until(ws, web_server.PING)  # for the end; not answered
    assert resumed(page) is True
    stack.remove(gateway)
