"""Section 1 of the protocols, row by row: YYChat's documented client against /ws/chat, and its calls over HTTP."""

import asyncio
import itertools
import json
import time
import uuid

import pytest
import websockets

from client import eventually, run_with
from dialects import COUNTS, OPTIONS, YYChat, connect, matches, number, url_of
from model_server import call, refuse, report_results, say
from stack import call as rest

SETTINGS = {"WS_MAX_QUESTIONS": 4}
FAILED = "Text processing failed: "
BROKEN = "Streaming response failed: "


def run(stack, scenario, **where):
    run_with(connect(YYChat, stack.gateway.port, **where), scenario)


# ---- Small talk

def test_the_documented_session(stack, model):
    model.script("你好", say(["你", "好", "！"], delay=0.02))

    async def scenario(client):
        now = time.time()
        await client.send({"type": "ping", "client_id": client.id, "timestamp": now})
        await client.expect("pong")
        await client.send({"type": "heartbeat", "client_id": client.id, "timestamp": now})
        await client.expect("heartbeat_response")
        await client.send({"type": "get_status", "client_id": client.id, "timestamp": now})
        await client.expect("status_response")
        answer = await client.answer("你好", client_id=client.id, timestamp=now, conversation_id="c1",
                                     personality_id="assistant", use_tools=True, stream=True)
        assert answer == "你好！"
    run(stack, scenario)


def test_status_counts_frames_sent(stack):
    async def status(client):
        await client.send({"type": "get_status"})
        return (await client.expect("status_response"))["data"]

    async def scenario(client):
        before = await status(client)
        assert before["active_connections"] == 1 and before["total_connections"] >= 1
        assert before["max_connections"] >= 1 and before["uptime"] > 0
        await client.ping()
        await client.answer("counted", stream=False)
        after = await status(client)
        assert after["total_messages"] - before["total_messages"] == 4  # pong, processing_start, the answer, status
        assert after["uptime"] > before["uptime"]
        async with connect(YYChat, stack.gateway.port):
            more = await status(client)
            assert more["active_connections"] == 2
            assert more["total_connections"] == before["total_connections"] + 1
    run(stack, scenario)


# ---- Questions

def test_streamed_and_whole(stack, model):
    model.script("stream", say(["One ", "streamed ", "answer."], delay=0.3))

    async def scenario(client):
        frames = await client.ask("stream")
        assert client.text_of(frames) == "One streamed answer."
        assert [frame["type"] for frame in frames].count("stream_chunk") > 1, "what waits is put together"
        assert client.text_of(await client.ask("stream", stream=True)) == "One streamed answer."
        for conversation in ({}, {"conversation_id": None}, {"conversation_id": "talk 会话"}):
            frames = await client.ask("stream", stream=False, **conversation)
            assert client.text_of(frames) == "One streamed answer."
            assert frames[-1]["conversation_id"] == conversation.get("conversation_id")
    run(stack, scenario)


def test_an_answer_without_text(stack, model):
    model.script("nothing", say([]))

    async def scenario(client):
        assert await client.answer("nothing") == "" == await client.answer("nothing", stream=False)
    run(stack, scenario)


def test_text_passes_through_exactly(stack):
    text = "emoji 🙂👩‍👩‍👧 CJK 会话 escapes \\ \" \n\t\x01 nul \0 end \u2028\ufeff"

    async def scenario(client):
        assert await client.answer(text) == f"You said: {text}"
        assert await client.answer(text, stream=False) == f"You said: {text}"
    run(stack, scenario)


def contents(model, question):
    """What the model was sent, without the system's prompt."""
    return [message["content"] for message in model.asked(question)[-1].messages if message["role"] != "system"]


def test_a_conversation_is_shared_by_its_id_alone(stack, model):
    name = str(uuid.uuid4())

    async def scenario(client):
        await client.answer("my name is Ada", conversation_id=name)
        await client.answer("elsewhere", conversation_id=name + "x")
        await client.answer("nowhere in particular")
        async with connect(YYChat, stack.gateway.port) as other:
            await other.answer("who am I?", conversation_id=name)
            await other.answer("and without?")
        await client.answer("here again")
    run(stack, scenario)
    assert contents(model, "who am I?") == ["my name is Ada", "You said: my name is Ada", "who am I?"]
    assert contents(model, "and without?") == ["and without?"]
    assert contents(model, "here again") == ["nowhere in particular", "You said: nowhere in particular", "here again"]


def test_personas(stack, model):
    async def scenario(client):
        await client.answer("as a programmer", personality_id="programmer")
        await client.answer("as usual", personality_id=None)
        await client.ask_only("as a stranger", personality_id="stranger")
        await client.expect("processing_start")
        await client.expect_error(BROKEN + "Unknown personality: stranger")
        await client.ask_only("as a stranger", personality_id="stranger", stream=False)
        await client.expect("processing_start")
        await client.expect_error(FAILED + "Unknown personality: stranger")
    run(stack, scenario)
    asked, usual = model.asked("as a programmer")[0].body, model.asked("as usual")[0].body
    assert "programmer" in asked["messages"][0]["content"] and asked["temperature"] == 0.2
    assert "helpful assistant" in usual["messages"][0]["content"] and "temperature" not in usual
    assert not model.asked("as a stranger")


def test_tools_unless_they_are_not_wanted(stack, model):
    model.script("sum", call(("calculator", {"expression": "123 + 456"})), report_results())

    async def scenario(client):
        assert "579" in await client.answer("sum")
        await client.answer("no tools", use_tools=False)
        await client.answer("tools", use_tools=None)
        await client.answer("none for a translator", personality_id="translator")
    run(stack, scenario)
    assert "tools" in model.asked("tools")[0].body
    assert "tools" not in model.asked("no tools")[0].body
    assert "tools" not in model.asked("none for a translator")[0].body


def test_answers_come_one_after_the_other_and_pings_at_once(stack, model):
    model.script("slow", say(["slow ", "answer"], delay=0.3))

    async def scenario(client):
        for number_ in range(3):
            await client.ask_only(f"slow {number_}", stream=number_ != 1)
        await client.expect("processing_start")
        await client.send({"type": "ping"})
        frames = []
        while sum(frame["type"] in YYChat.finals for frame in frames) < 3:
            frames.append(await client.receive())
        types = [frame["type"] for frame in frames]
        assert types.index("pong") <= 1, "stream_start may be before it"
        types.remove("pong")
        assert [kind for kind, _ in itertools.groupby(types)] == [
            "stream_start", "stream_chunk", "stream_end", "processing_start", "text_response", "processing_start",
            "stream_start", "stream_chunk", "stream_end"]
    run(stack, scenario)


def test_questions_beyond_the_limit_are_refused(stack, model):
    model.script("held", say(["a"], first=1))

    async def scenario(client):
        for _ in range(8):
            await client.ask_only("held", stream=False)
        finals = []
        while len(finals) < 8:
            frame = await client.receive()
            finals += [frame] if frame["type"] in YYChat.finals else []
        errors = [client.error_of(frame) for frame in finals if frame["type"] == "error"]
        assert 3 <= len(errors) <= 4 and all(error.startswith(FAILED) for error in errors)
    run(stack, scenario)


def test_a_failing_model_is_an_error_and_the_next_question_works(stack, model):
    model.script("fails", refuse(500, "out of order"))

    async def scenario(client):
        for stream, says in ((True, BROKEN), (False, FAILED)):
            frames = await client.ask("fails", stream=stream)
            error = frames[-1]
            assert error["client_id"] == client.id
            assert error["error"]["message"].startswith(says) and "out of order" in error["error"]["message"]
            assert [frame["type"] for frame in frames if frame["type"] == "error"] == ["error"]
        assert await client.answer("and on") == "You said: and on"
    run(stack, scenario)


# ---- What is wrong

NOT_A_MESSAGE = "Invalid message format"
NOT_A_TEXT = "Invalid text message format"
NO_JSON = "Invalid JSON format"
WRONG = [
    ("", NO_JSON), ("{", NO_JSON), ("hello", NO_JSON), ('{"type":"ping"} {}', NO_JSON), ('{"type":"ping","x":NaN}', NO_JSON),
    ("[]", NOT_A_MESSAGE), ("null", NOT_A_MESSAGE), ('"ping"', NOT_A_MESSAGE), ("7", NOT_A_MESSAGE),
    ({}, NOT_A_MESSAGE), ({"type": 5}, NOT_A_MESSAGE), ({"type": None}, NOT_A_MESSAGE), ({"type": ["ping"]}, NOT_A_MESSAGE),
    ({"type": "ping", "client_id": "someone"}, "Client ID mismatch"),
    ({"type": "ping", "client_id": 5}, "Client ID mismatch"),
    ({"type": "text_message", "content": "x", "client_id": str(uuid.uuid4())}, "Client ID mismatch"),
    ({"type": "nonsense"}, "Unknown message type: nonsense"),
    ({"type": "会话"}, "Unknown message type: 会话"),
    ({"type": ""}, "Unknown message type: "),
    ({"type": "cancel"}, "Unknown message type: cancel"),  # only with ?parley=1
    ({"type": "text_message"}, NOT_A_TEXT),
    ({"type": "text_message", "content": ""}, NOT_A_TEXT),
    ({"type": "text_message", "content": " \t\n\u3000"}, NOT_A_TEXT),
    ({"type": "text_message", "content": 5}, NOT_A_TEXT),
    ({"type": "text_message", "content": None}, NOT_A_TEXT),
    ({"type": "text_message", "content": "x", "conversation_id": 5}, NOT_A_TEXT),
    ({"type": "text_message", "content": "x", "personality_id": {}}, NOT_A_TEXT),
    ({"type": "text_message", "content": "x", "use_tools": "yes"}, NOT_A_TEXT),
    ({"type": "text_message", "content": "x", "stream": 1}, NOT_A_TEXT),
]


@pytest.mark.parametrize("frame, says", WRONG, ids=lambda value: str(value)[:60])
def test_what_is_wrong_is_an_error_and_the_connection_stays(stack, frame, says):
    async def scenario(client):
        await client.send_raw(frame if isinstance(frame, str) else json.dumps(frame))
        error = await client.expect("error")
        assert error["error"]["message"] == says
        assert ("client_id" in error) == (says in (NO_JSON, NOT_A_TEXT))
        await client.ping()
    run(stack, scenario)


def test_its_own_id_and_unknown_fields_are_fine(stack):
    async def scenario(client):
        await client.send({"type": "ping", "client_id": client.id, "more": [1, {"a": None}]})
        await client.expect("pong")
        await client.send({"type": "ping", "client_id": None})
        await client.expect("pong")
    run(stack, scenario)


# ---- Connections

def test_silence_ends_it_and_a_heartbeat_does_not(stack):
    gateway = stack.add("gateway", WS_CONNECTION_TIMEOUT=2)

    async def scenario():
        async with connect(YYChat, gateway.port) as client, connect(YYChat, gateway.port) as talker:
            closing = asyncio.ensure_future(client.expect("connection_closed"))
            while not closing.done():
                await talker.send({"type": "heartbeat"})
                await talker.expect("heartbeat_response")
                await asyncio.sleep(0.2)
            assert 1.5 < (await closing)["timestamp"] - client.welcome["timestamp"] < 6
            assert (await client.closed())[0] == 1000
            await talker.ping()
    asyncio.run(scenario())
    stack.remove(gateway)


def test_silence_is_counted_from_an_answers_end(stack, model):
    model.script("slow", say(["piece "] * 8, delay=0.5))
    gateway = stack.add("gateway", WS_CONNECTION_TIMEOUT=3)

    async def scenario():
        async with connect(YYChat, gateway.port) as client:
            await client.ask_only("slow")
            answered = (await client.collect()).final
            closing = await client.expect("connection_closed")
            assert closing["timestamp"] - answered["timestamp"] > 1.5  # it is looked at once a second
            assert (await client.closed())[0] == 1000
    asyncio.run(scenario())
    stack.remove(gateway)


def test_above_the_limit_of_connections_it_is_503(stack):
    gateway = stack.add("gateway", WS_MAX_CONNECTIONS=2)

    async def scenario():
        async with connect(YYChat, gateway.port) as first, connect(YYChat, gateway.port):
            with pytest.raises(websockets.InvalidStatusCode) as refused:
                await websockets.connect(url_of(YYChat, gateway.port), **OPTIONS)
            assert refused.value.status_code == 503
            await first.send({"type": "get_status"})
            assert (await first.expect("status_response"))["data"]["active_connections"] >= 2
    asyncio.run(scenario())
    stack.remove(gateway)


def test_messages_above_the_rate_are_refused(stack):
    gateway = stack.add("gateway", WS_RATE_LIMIT=2, WS_RATE_BURST=5)

    async def scenario():
        async with connect(YYChat, gateway.port) as client:
            for _ in range(10):
                await client.send({"type": "ping"})
            frames = [await client.receive() for _ in range(10)]
            assert [frame["type"] for frame in frames] == ["pong"] * 5 + ["error"] * 5
            assert all(client.error_of(frame).startswith("Message processing failed: ") for frame in frames[5:])
            answer = None
            while answer != "pong":  # after a while there may be more
                await client.send({"type": "ping"})
                answer = (await client.receive())["type"]
                assert answer in ("pong", "error")
            await client.close()
    asyncio.run(scenario())
    stack.remove(gateway)


# ---- Over HTTP

def test_status_over_http(stack):
    status, answer = rest(stack.gateway.port, "GET", "/ws/status")
    assert status == 200 and matches(answer, {"status": "success", "data": COUNTS}), answer


def test_handlers_over_http(stack):
    status, answer = rest(stack.gateway.port, "GET", "/ws/handlers")
    assert status == 200
    assert matches(answer, {"status": "success", "data": {"handlers": dict, "middleware": [str]}}), answer
    handlers = answer["data"]["handlers"]
    assert set(handlers) == {"ping", "heartbeat", "get_status", "text_message"}
    assert all(isinstance(text, str) and text for text in handlers.values())
    assert {"authentication", "rate_limit", "logging"} <= set(answer["data"]["middleware"])


@pytest.mark.parametrize("path", ["/ws/status", "/ws/handlers"])
def test_other_methods_are_refused(stack, path):
    assert rest(stack.gateway.port, "POST", path, {})[0] == 405


# ---- Beyond the original

class Extended(YYChat):
    finals = (*YYChat.finals, "cancelled")
    SHAPES = {
        **YYChat.SHAPES, "cancelled": {"timestamp": number}, "session": {"resume": str},
        "tool": lambda value: isinstance(value["id"], str) and value["name"] == "calculator"
                and set(value) - {"arguments", "result"} == {"id", "name", "status"}}

    async def welcomed(self):
        await super().welcomed()
        await self.expect("session")
        return self


def test_cancel_and_tool_steps(stack, model):
    model.script("work", call(("calculator", {"expression": "123 + 456"})), report_results())
    model.script("long", say(["word "] * 2000, delay=0.02))

    async def scenario():
        async with connect(Extended, stack.gateway.port, parley=1) as client:
            tools = [frame for frame in await client.ask("work") if frame["type"] == "tool"]
            assert [tool["status"] for tool in tools] == ["running", "done"]
            assert tools[0]["arguments"] == {"expression": "123 + 456"} and "result" not in tools[0]
            assert tools[1]["result"] == 579 and tools[0]["id"] == tools[1]["id"]
            await client.ask_only("long")
            while (await client.receive())["type"] != "stream_chunk":
                pass
            await client.send({"type": "cancel"})
            assert (await client.collect()).final["type"] == "cancelled"
            await eventually(lambda: not model.asked("long")[-1].open, what="the provider's stream is closed")
            assert (await client.ask("next"))[-1]["full_content"] == "You said: next"
            await client.send({"type": "cancel"})
            await client.expect("cancelled")
    asyncio.run(scenario())
