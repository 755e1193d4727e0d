"""Section 5 of the protocols, row by row, with a real client: what it says, and what it answers to what is wrong."""

import asyncio
import json
import time

import pytest
import websockets

from client import connect, eventually, run_with
from model_server import hang, refuse, say
from stack import get

SETTINGS = {"WS_MAX_QUESTIONS": 3, "WS_MESSAGE_SIZE_LIMIT": 1 << 20}


def run(stack, scenario):
    run_with(connect(stack.url), scenario)


def test_ping(stack):
    async def scenario(client):
        await client.send({"type": "ping", "more": [1, {"a": None}]})
        pong = await client.expect("pong")
        assert abs(pong["timestamp"] - time.time()) < 5
    run(stack, scenario)


def test_agent_query(stack, model):
    model.script("whole", say(["One ", "whole ", "answer."]))

    async def scenario(client):
        answer = await client.ask("whole", stream=False)
        assert answer.types == ["status", "agent_response"]
        assert answer.frames[0]["status"] == "processing"
        assert answer.final["content"] == "One whole answer."
        assert answer.final["vendor"] == "openai"
    run(stack, scenario)


def test_streaming_query(stack, model):
    model.script("stream", say(["One ", "streamed ", "answer."], delay=0.3))

    async def scenario(client):
        answer = (await client.ask("stream")).check_streamed()
        assert answer.text == "One streamed answer."
        assert answer.types.count("stream_chunk") > 1, "what waits is put together"
    run(stack, scenario)


def test_an_answer_without_text(stack, model):
    model.script("nothing", say([]))

    async def scenario(client):
        assert (await client.ask("nothing")).types == ["stream_start", "stream_end"]
        assert (await client.ask("nothing", stream=False)).final["content"] == ""
    run(stack, scenario)


def test_the_provider_gets_key_model_and_stream(stack, model):
    async def scenario(client):
        await client.ask("what is sent")
    run(stack, scenario)
    request = model.asked("what is sent")[0]
    assert request.headers["authorization"] == "Bearer secret".lower()  # the server lowers what it reads
    assert request.body["model"] == "scripted" and request.body["stream"] is True


WRONG = [
    ("{", "Invalid JSON format"),
    ("", "Invalid JSON format"),
    ("hello", "Invalid JSON format"),
    ('{"type":"ping"} {}', "Invalid JSON format"),
    ('{"type":"ping","x":NaN}', "Invalid JSON format"),
    ("[" * 5000, "Invalid JSON format"),
    ({"type": "nonsense"}, "Unknown message type: nonsense"),
    ({"type": "会话"}, "Unknown message type: 会话"),
    ({}, "Unknown message type: None"),
    ({"type": 5}, "Unknown message type: None"),
    ({"type": None, "query": "x"}, "Unknown message type: None"),
    ({"type": "agent_query"}, "Query is required"),
    ({"type": "streaming_query"}, "Query is required"),
    ({"type": "streaming_query", "query": ""}, "Query is required"),
    ({"type": "streaming_query", "query": " \t\n\u3000"}, "Query is required"),
    ({"type": "agent_query", "query": 7}, None),
    ({"type": "streaming_query", "query": ["x"]}, None),
    ({"type": "tool_call"}, "Tool name is required"),
    ({"type": "tool_call", "tool_name": "", "params": {}}, "Tool name is required"),
    ([{"type": "ping"}], None),
    ('"ping"', None),
    ("null", None),
]


@pytest.mark.parametrize("frame, error", WRONG, ids=lambda value: str(value)[:40])
def test_what_is_wrong_is_an_error_and_the_connection_stays(stack, frame, error):
    async def scenario(client):
        await client.send_raw(frame if isinstance(frame, str) else json.dumps(frame))
        got = await client.expect("error")
        assert error is None or got["error"] == error
        await client.ping()
    run(stack, scenario)


def test_invalid_utf8_is_closed_with_1007(stack):
    async def scenario(client):
        client.socket.messages = None
        await client.socket.write_frame(True, 1, b'{"type":"\xff\xfe"}')
        assert (await client.closed())[0] == 1007
    run(stack, scenario)


def test_a_frame_above_the_limit_is_closed_with_1009(stack):
    async def scenario(client):
        await client.send({"type": "ping", "fill": "x" * (1 << 20)})
        assert (await client.closed())[0] == 1009
    run(stack, scenario)


def test_fragments_above_the_limit_are_closed_with_1009(stack):
    async def scenario(client):
        async def pieces():
            for _ in range(40):
                yield "x" * 30000
        try:
            await client.socket.send(pieces())
        except websockets.ConnectionClosed:
            pass
        assert (await client.closed())[0] == 1009
    run(stack, scenario)


def test_a_fragmented_message_is_one_message(stack):
    async def scenario(client):
        async def pieces():
            for character in '{"type":"ping"}':
                yield character
        await client.socket.send(pieces())
        await client.expect("pong")
    run(stack, scenario)


def test_cancel_when_idle(stack):
    async def scenario(client):
        for _ in range(3):
            await client.send({"type": "cancel"})
            await client.expect("cancelled")
        (await client.ask("after a cancel")).check_streamed()
    run(stack, scenario)


def test_cancel_ends_what_runs_and_what_waits(stack, model):
    model.script("long", say(["word "] * 2000, delay=0.02))
    before = len(model.asked("long"))

    async def scenario(client):
        await client.ask_only("long")
        await client.until_chunk()
        await client.ask_only("never started")
        await client.send({"type": "cancel"})
        answer = await client.collect()
        assert answer.final["type"] == "cancelled"
        assert set(answer.types[:-1]) <= {"stream_chunk"}
        await client.ping()
        (await client.ask("the next one")).check_streamed()
        await client.ping()
    run(stack, scenario)
    request = model.asked("long")[before]
    assert request.client_closed and not request.finished
    assert not model.asked("never started")


def test_questions_beyond_the_limit_are_refused(stack, model):
    model.script("slow", say(["a", "b"], first=1))

    async def scenario(client):
        for _ in range(6):
            await client.ask_only("slow")
        finals = [(await client.collect()).final["type"] for _ in range(6)]
        assert 1 <= finals.count("error") <= 3 and finals.count("stream_end") == 6 - finals.count("error")
        (await client.ask("and on")).check_streamed()
    run(stack, scenario)


def test_a_failing_model_is_an_error_and_the_next_question_works(stack, model):
    model.script("fails", refuse(500, "out of order"))

    async def scenario(client):
        await client.ask_only("fails")
        answer = await client.collect()
        assert answer.final["error"].startswith("Streaming failed: ") and "out of order" in answer.final["error"]
        answer = await client.ask("fails", stream=False)
        assert answer.final["error"].startswith("Query failed: ")
        (await client.ask("works again")).check_streamed()
    run(stack, scenario)


def test_a_key_in_an_error_is_never_shown(stack, model):
    model.script("leaks", refuse(401, "Incorrect API key provided: pub***lic"))

    async def scenario(client):
        answer = await client.ask("leaks")
        assert "answered 401: the key of this service is refused" in answer.final["error"]
        assert "pub" not in answer.final["error"]
    run(stack, scenario)
    [agent] = stack.running("agent")
    assert "Incorrect API key provided: pub***lic" in agent.log(), "the owner is told"
    assert all("secret" not in process.log() for process in stack.services)


def test_statistics(stack, model):
    async def statistics():
        status, body = await asyncio.to_thread(get, stack.gateway.port, "/ws/statistics")
        assert status == 200
        value = json.loads(body)
        assert set(value) == {"active_connections", "total_connections", "total_messages", "connections"}
        return value

    async def scenario():
        before = await eventually_idle()
        async with connect(stack.url) as client:
            await client.ask("counted")
            await client.ping()
            value = await statistics()
            assert value["active_connections"] == 1
            assert value["total_connections"] == before["total_connections"] + 1
            assert value["total_messages"] == before["total_messages"] + client.received
            own = value["connections"]
            assert len(own) == 1 and set(own[0]) == {"id", "connected_at", "message_count", "uptime"}
            assert own[0]["id"] == client.welcome["connection_id"]
            assert own[0]["message_count"] == client.received
            assert abs(own[0]["connected_at"] - time.time()) < 60 and 0 <= own[0]["uptime"] < 60
        after = await eventually_idle()
        assert after["connections"] == []

    async def eventually_idle():
        for _ in range(500):
            value = await statistics()
            if value["active_connections"] == 0:
                return value
            await asyncio.sleep(0.02)
        raise AssertionError("connections that have closed are still counted")
    asyncio.run(scenario())


def test_a_client_that_goes_away_leaves_its_turn_running(stack, model):
    model.script("abandoned", say(["word "] * 50, delay=0.02))

    async def scenario():
        async with connect(stack.url) as client:
            await client.ask_only("abandoned")
            await client.until_chunk()
            await client.abandon()
        await eventually(lambda: model.asked("abandoned")[0].finished, what="the stream ran to its end")
        assert not model.asked("abandoned")[0].client_closed
    asyncio.run(scenario())


def test_without_an_agent_it_is_an_error_in_time(stack, model):
    """A router whose start time-out is short; its agents are all busy elsewhere: there are none in its pool."""
    router = stack.of("router")[0]
    stack.remove(router)
    lonely = stack.add("router", ROUTER_POOL="nobody", TURN_START_TIMEOUT_MS=500)

    async def scenario(client):
        asked = time.monotonic()
        answer = await client.ask("nobody there")
        assert answer.types == ["error"] and answer.final["error"].startswith("Streaming failed: ")
        assert time.monotonic() - asked < 10
        await client.ping()
    run(stack, scenario)
    stack.remove(lonely)

    async def no_router(client):
        asked = time.monotonic()
        answer = await client.ask("no router", stream=False)
        assert answer.types == ["status", "error"] and answer.final["error"].startswith("Query failed: ")
        assert time.monotonic() - asked < 10
        await client.ping()
    run(stack, no_router)
    router.killed = False
    stack.restart(router)

    async def again(client):
        (await client.ask("and all is well")).check_streamed()
    run(stack, again)
    assert not model.asked("nobody there") and not model.asked("no router")


def test_a_stuck_provider_ends_in_an_error(stack, model):
    agent = stack.of("agent")[0]
    stack.remove(agent)
    impatient = stack.add("agent", LLM_FIRST_TOKEN_TIMEOUT_MS=500)
    model.script("stuck", hang())

    async def scenario(client):
        answer = await client.ask("stuck")
        assert answer.final["error"].startswith("Streaming failed: ")
        await eventually(lambda: not model.asked("stuck")[-1].open, what="the stream is closed")
    run(stack, scenario)
    stack.remove(impatient)
    agent.killed = False
    stack.restart(agent)
