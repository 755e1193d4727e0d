"""Section 3 of the protocols, row by row: LangBot's documented client of a pipeline, and its calls over HTTP."""

import asyncio
import json
import time
import uuid

import pytest

from client import eventually
from dialects import (PIPELINE, RESPONSE, USER_MESSAGE, LangBot, check_answer, connect, count, iso, iso_seconds, matches,
                      number, uuid4)
from model_server import call, refuse, report_results, say
from stack import Stack, call as rest

# One for each test: what is said in a pipeline stays there.
PIPELINES = [PIPELINE, *(f"p{place}" for place in range(80))]
CONFIG = {
    "pipelines": [{"uuid": name, "name": name, "persona": "plain"} for name in PIPELINES],
    "personas": [{"id": "plain", "name": "Plain", "system_prompt": "Be plain."}]}
DONE = {"code": 0, "msg": "ok"}


@pytest.fixture(scope="module")
def stack(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "parley.json"
    path.write_text(json.dumps(CONFIG))
    with Stack(model=model, PARLEY_CONFIG=path) as running:
        running.start(router=1, agent=1, tools=1, gateway=1)
        yield running


@pytest.fixture
def pipeline():
    """One that nobody has used."""
    return PIPELINES.pop()


def run(stack, scenario, **where):
    async def connected():
        async with connect(LangBot, stack.gateway.port, **where) as client:
            await scenario(client)
    asyncio.run(connected())


def api(stack, pipeline, method, action, body=None, port=None):
    return rest(port or stack.gateway.port, method, f"/api/v1/pipelines/{pipeline}/ws/{action}", body)


async def ok(stack, pipeline, method, action, body=None):
    """Its data."""
    status, answer = await asyncio.to_thread(api, stack, pipeline, method, action, body)
    assert status == 200 and set(answer) == {"code", "msg", "data"}, answer
    assert answer["code"] == 0 and answer["msg"] == "ok", answer
    return answer["data"]


# ---- Connecting

@pytest.mark.parametrize("session", [None, "person", "group"])
def test_connecting(stack, pipeline, session):
    async def scenario(client):
        assert client.welcome["pipeline_uuid"] == pipeline
        assert client.welcome["session_type"] == (session or "person")
        await client.send({"type": "ping"})
        await client.expect("pong")
    run(stack, scenario, pipeline=pipeline, session=session)


@pytest.mark.parametrize("where, says", [
    ({"session": "both"}, "session_type must be person or group"),
    ({"session": ""}, "session_type must be person or group"),
    ({"session": "Person"}, "session_type must be person or group"),
    ({"pipeline": str(uuid.uuid4())}, "Pipeline not found"),
    ({"pipeline": "会话"}, "Pipeline not found"),
    ({"pipeline": "x" * 500}, "Pipeline not found"),
    ({"pipeline": str(uuid.uuid4()), "session": "group"}, "Pipeline not found"),
])
def test_not_connecting(stack, where, says):
    class Refused(LangBot):
        welcome_type = "error"

    async def scenario(client):
        assert client.welcome["message"] == says
        assert (await client.closed())[0] == 1000
    run_as(stack, Refused, scenario, **where)


def run_as(stack, kind, scenario, **where):
    async def connected():
        async with connect(kind, stack.gateway.port, **where) as client:
            await scenario(client)
    asyncio.run(connected())


def test_disconnect(stack, pipeline):
    async def scenario(client):
        await client.send({"type": "disconnect"})
        assert (await client.closed())[0] == 1000
    run(stack, scenario, pipeline=pipeline)


# ---- Messages

def test_the_documented_session(stack, model, pipeline):
    words = [f"word{number} " for number in range(100)]
    model.script("count", say(words, delay=0.005))

    async def scenario(client):
        asked = time.time()
        frames = await client.ask("count")
        assert client.text_of(frames) == "".join(words)
        question, answer = frames[0]["data"], frames[-1]["data"]
        assert question["content"] == "count" and question["message_chain"] == LangBot.chain("count")
        assert question["connection_id"] == client.welcome["connection_id"]
        assert (question["id"], answer["id"]) == (1, 2)
        assert all(frame["session_type"] == "person" for frame in frames)
        assert len(frames) > 4 and abs(iso_seconds(question["timestamp"]) - asked) < 5
        frames = await client.ask("and then")
        assert client.text_of(frames) == "You said: and then"
        assert (frames[0]["data"]["id"], frames[-1]["data"]["id"]) == (3, 4)
    run(stack, scenario, pipeline=pipeline)


def test_the_type_may_be_left_out(stack, pipeline):
    async def scenario(client):
        await client.send({"message": client.chain("hello")})
        assert client.text_of(await client.collect_final()) == "You said: hello"
    run(stack, scenario, pipeline=pipeline)


def test_without_streaming_there_is_one_frame(stack, model, pipeline):
    model.script("whole", say(["word "] * 100))

    async def scenario(client):
        frames = await client.ask("whole", stream=False)
        assert [frame["type"] for frame in frames] == ["user_message", "response"]
        assert client.text_of(frames) == "word " * 100
        assert client.text_of(await client.ask("whole", stream=True)) == "word " * 100
    run(stack, scenario, pipeline=pipeline)


def test_an_answer_without_text(stack, model, pipeline):
    model.script("nothing", say([]))

    async def scenario(client):
        assert client.text_of(await client.ask("nothing")) == ""
    run(stack, scenario, pipeline=pipeline)


def test_text_passes_through_exactly(stack, pipeline):
    text = "emoji 🙂 CJK 会话 escapes \\ \" \n\t\x01 nul \0 end"

    async def scenario(client):
        frames = await client.ask(text)
        assert client.text_of(frames) == f"You said: {text}"
        assert frames[0]["data"]["content"] == text
        assert frames[0]["data"]["message_chain"] == LangBot.chain(text)
        assert [message["content"] for message in (await ok(stack, pipeline, "GET", "messages/person"))["messages"]] == [
            text, f"You said: {text}"]
    run(stack, scenario, pipeline=pipeline)


def test_all_of_a_session_see_all(stack, pipeline):
    async def scenario(client):
        async with connect(LangBot, stack.gateway.port, pipeline=pipeline) as other, \
                connect(LangBot, stack.gateway.port, pipeline=pipeline, session="group") as group, \
                connect(LangBot, stack.gateway.port, pipeline=PIPELINE) as stranger:
            frames = await client.ask("hello")
            seen = await other.collect_final()
            assert seen[0] == frames[0] and seen[-1] == frames[-1]
            assert other.text_of(seen) == client.text_of(frames) == "You said: hello"
            frames = await other.ask("hello back")
            assert (await client.collect_final())[0]["data"]["connection_id"] == other.welcome["connection_id"]
            assert (frames[0]["data"]["id"], frames[-1]["data"]["id"]) == (3, 4)
            await group.ping()
            await stranger.ping()
            frames = await group.ask("ai?")
            assert (frames[0]["data"]["id"], frames[-1]["data"]["id"]) == (1, 2)
            assert all(frame["session_type"] == "group" for frame in frames)
    run(stack, scenario, pipeline=pipeline)


def test_answers_side_by_side_are_told_apart_by_id(stack, model, pipeline):
    model.script("slow", say(["slow "] * 10, delay=0.1))

    async def scenario(client):
        await client.ask_only("slow")
        while (await client.receive())["type"] != "response":
            pass
        await client.ask_only("quick")
        frames = [await client.receive()]
        while sum(client.is_end(frame) for frame in frames) < 2:
            frames.append(await client.receive())
        assert [frame["data"]["id"] for frame in frames if frame["type"] == "user_message"] == [3]
        quick = check_answer([frame["data"] for frame in frames if frame["data"]["id"] == 4])
        assert quick == "You said: quick"
        assert frames[-1]["data"]["id"] == 2 and frames[-1]["data"]["content"] == "slow " * 10
    run(stack, scenario, pipeline=pipeline)


def test_a_session_remembers_on_every_connection(stack, model, pipeline):
    async def scenario(client):
        await client.ask("I am Ada")
        async with connect(LangBot, stack.gateway.port, pipeline=pipeline) as other:
            await other.ask("who am I?")
            assert (await client.collect_final())[0]["data"]["content"] == "who am I?"
        contents = [message["content"] for message in model.asked("who am I?")[-1].messages]
        assert contents == ["Be plain.", "I am Ada", "You said: I am Ada", "who am I?"]
    run(stack, scenario, pipeline=pipeline)


# ---- Groups

MENTION = {"type": "At", "target": "websocketbot"}


@pytest.mark.parametrize("chain, content", [
    (LangBot.chain("ai, hello"), "ai, hello"),
    ([MENTION, {"type": "Plain", "text": " hello"}], "@websocketbot hello"),
    ([{"type": "Plain", "text": "hello "}, MENTION], "hello @websocketbot"),
], ids=["ai", "At first", "At last"])
def test_in_a_group_the_bot_answers_when_it_is_meant(stack, pipeline, chain, content):
    async def scenario(client):
        frames = await client.ask(chain)
        assert frames[0]["data"]["message_chain"] == chain and frames[0]["data"]["content"] == content
        assert client.text_of(frames).startswith("You said: ")
    run(stack, scenario, pipeline=pipeline, session="group")


@pytest.mark.parametrize("chain", [
    LangBot.chain("hello"), LangBot.chain("hello ai"), [{"type": "At", "target": "someone"}, *LangBot.chain("ai?")],
    [{"type": "AtAll"}], [{"type": "Quote", "origin": [MENTION]}, *LangBot.chain(" what?")],
], ids=["plain", "ai later", "At another", "AtAll", "quoted"])
def test_in_a_group_it_is_silent_otherwise(stack, model, pipeline, chain):
    async def scenario(client):
        before = len(model.requests)
        await client.ask_only(chain)
        shown = (await client.expect("user_message"))["data"]
        assert shown["id"] == 1 and shown["message_chain"] == chain
        frames = await client.ask("ai, now")
        assert [frames[0]["data"]["id"], frames[-1]["data"]["id"]] == [2, 3]
        assert len(model.requests) == before + 1
        asked = [message["content"] for message in model.requests[-1].messages]
        assert asked == ["Be plain.", shown["content"], "ai, now"]
        history = (await ok(stack, pipeline, "GET", "messages/group"))["messages"]
        assert [message["id"] for message in history] == [1, 2, 3]
        assert [message["role"] for message in history] == ["user", "user", "assistant"]
    run(stack, scenario, pipeline=pipeline, session="group")


# ---- Components

IMAGE = "iVBORw0KGgo="


@pytest.mark.parametrize("component, content", [
    ({"type": "Plain", "text": "text"}, "text"),
    ({"type": "At", "target": "websocketbot"}, "@websocketbot"),
    ({"type": "At", "target": "websocketbot", "display": None}, "@websocketbot"),
    ({"type": "AtAll"}, None),
    ({"type": "Image", "url": "https://example.org/a.png"}, "[Image]"),
    ({"type": "Image", "base64": f"data:image/png;base64,{IMAGE}"}, "[Image]"),
    ({"type": "Image", "path": "/some/where.png"}, "[Image]"),
    ({"type": "Voice", "url": "https://example.org/a.mp3"}, None),
    ({"type": "File", "name": "a.pdf", "size": 1000, "url": "https://example.org/a.pdf"}, None),
    ({"type": "Quote", "origin": [{"type": "Plain", "text": "quoted"}]}, None),
    ({"type": "Source", "id": 5}, None),
    ({"type": "Forward", "node_list": []}, None),
    ({"type": "Unknown", "text": "what"}, None),
], ids=lambda value: str(value)[:50] if isinstance(value, dict) else "")
def test_components(stack, pipeline, component, content):
    chain = [component, {"type": "Plain", "text": " and text"}]

    async def scenario(client):
        frames = await client.ask(chain)
        assert frames[0]["data"]["message_chain"] == chain
        shown = frames[0]["data"]["content"]
        assert shown.endswith(" and text") and (content is None or shown == content + " and text")
        assert client.text_of(frames)
        history = (await ok(stack, pipeline, "GET", "messages/person"))["messages"]
        assert history[0] == frames[0]["data"]
    run(stack, scenario, pipeline=pipeline)


def test_images_reach_the_model(stack, model, pipeline):
    chain = [{"type": "Plain", "text": "look: "}, {"type": "Image", "url": "https://example.org/a.png"},
             {"type": "Image", "base64": f"data:image/png;base64,{IMAGE}"}]

    async def scenario(client):
        client.text_of(await client.ask(chain))
        parts = model.requests[-1].messages[-1]["content"]
        assert [part["image_url"]["url"] for part in parts if part["type"] == "image_url"] == [
            "https://example.org/a.png", f"data:image/png;base64,{IMAGE}"]
    run(stack, scenario, pipeline=pipeline)


def test_tools_are_used_without_a_word(stack, model, pipeline):
    model.script("sum", call(("calculator", {"expression": "123 + 456"}), text="One moment. "), report_results())

    async def scenario(client):
        frames = await client.ask("sum")
        text = client.text_of(frames)
        assert text.startswith("One moment. ") and "579" in text
    run(stack, scenario, pipeline=pipeline)


# ---- What is wrong

NO_JSON = "Invalid JSON format"
WRONG = ["", "{", "hello", '{"type":"ping"} {}', "[]", "null", '"ping"', {"type": "nonsense"}, {"type": 5}, {"type": None},
         {"type": "cancel"}, {}, {"type": "message"}, {"message": None}, {"message": "hello"}, {"message": {}},
         {"message": []}, {"message": [5]}, {"message": [{}]}, {"message": [{"type": "Plain"}]},
         {"message": [{"type": "Plain", "text": 5}]}, {"message": [{"type": "Plain", "text": " \t\n"}]},
         {"message": [{"type": "At"}]}, {"message": [{"type": "Image", "url": 5}]},
         {"message": [{"type": "Quote", "origin": "x"}]}, {"message": LangBot.chain("x"), "stream": "no"}]


def test_what_is_wrong_is_an_error_and_the_connection_stays(stack, pipeline):
    async def scenario(client):
        for frame in WRONG:
            await client.send_raw(frame if isinstance(frame, str) else json.dumps(frame))
            error = await client.expect("error")
            assert isinstance(frame, dict) or error["message"] == NO_JSON, (frame, error)
            assert error["message"], frame
            await client.ping()
        assert (await ok(stack, pipeline, "GET", "messages/person"))["messages"] == []
        assert client.text_of(await client.ask("and on")) == "You said: and on"
    run(stack, scenario, pipeline=pipeline)


def test_a_failing_model_is_an_error_and_the_next_question_works(stack, model, pipeline):
    model.script("fails", refuse(500, "out of order"))

    async def scenario(client):
        frames = await client.ask("fails")
        assert [frame["type"] for frame in frames] == ["user_message", "error"]
        assert "out of order" in frames[-1]["message"]
        assert client.text_of(await client.ask("and on")) == "You said: and on"
    run(stack, scenario, pipeline=pipeline)


# ---- Over HTTP

def test_history(stack, pipeline):
    async def scenario(client):
        assert await ok(stack, pipeline, "GET", "messages/person") == {"messages": []}
        seen = []
        for number in range(3):
            frames = await client.ask(f"number {number}")
            seen += [frames[0]["data"], frames[-1]["data"]]
        history = (await ok(stack, pipeline, "GET", "messages/person"))["messages"]
        assert history == seen
        assert all(matches(message, USER_MESSAGE if message["role"] == "user" else RESPONSE) for message in history)
        assert await ok(stack, pipeline, "GET", "messages/group") == {"messages": []}
    run(stack, scenario, pipeline=pipeline)


def test_reset(stack, model, pipeline):
    async def scenario(client):
        async with connect(LangBot, stack.gateway.port, pipeline=pipeline, session="group") as group:
            await group.ask("ai, stay")
        await client.ask("to be forgotten")
        assert await ok(stack, pipeline, "POST", "reset/person") == {"message": "Session reset successfully"}
        assert await ok(stack, pipeline, "GET", "messages/person") == {"messages": []}
        assert len((await ok(stack, pipeline, "GET", "messages/group"))["messages"]) == 2
        frames = await client.ask("afterwards")
        assert (frames[0]["data"]["id"], frames[-1]["data"]["id"]) == (1, 2)
        assert [message["content"] for message in model.asked("afterwards")[-1].messages] == ["Be plain.", "afterwards"]
    run(stack, scenario, pipeline=pipeline)


CONNECTION = {"connection_id": uuid4, "session_type": LangBot.SESSION, "created_at": iso, "last_active": iso, "is_active": bool}
STATS = {"total_connections": count, "pipelines": count, "connections_by_pipeline": dict, "connections_by_session_type": dict}


def test_connections(stack, pipeline):
    async def scenario(client):
        async with connect(LangBot, stack.gateway.port, pipeline=pipeline, session="group") as group, \
                connect(LangBot, stack.gateway.port, pipeline=PIPELINE):
            async def settled():
                data = await ok(stack, pipeline, "GET", "connections")
                assert matches(data, {"stats": STATS, "connections": [CONNECTION]}), data
                return data if data["stats"]["total_connections"] == 3 else None
            data = await settled()
            for _ in range(200):
                if data:
                    break
                await asyncio.sleep(0.02)
                data = await settled()
            assert data["stats"] == {
                "total_connections": 3, "pipelines": 2, "connections_by_pipeline": {pipeline: 2, PIPELINE: 1},
                "connections_by_session_type": {"person": 2, "group": 1}}
            assert {(one["connection_id"], one["session_type"], one["is_active"]) for one in data["connections"]} == {
                (client.welcome["connection_id"], "person", True), (group.welcome["connection_id"], "group", True)}
            active = {one["session_type"]: one["last_active"] for one in data["connections"]}
            await client.ping()
            later = (await ok(stack, pipeline, "GET", "connections"))["connections"]
            later = {one["session_type"]: one["last_active"] for one in later}
            assert later["person"] > active["person"] and later["group"] == active["group"]
    run(stack, scenario, pipeline=pipeline)


@pytest.mark.parametrize("message", ["hello 🙂", {"a": [1, None, "会话"]}, ["x"], 5, 0, True, False, 1.5, {}, [], "nul \0"],
                         ids=repr)
def test_broadcast(stack, pipeline, message):
    async def scenario(client):
        async with connect(LangBot, stack.gateway.port, pipeline=pipeline, session="group") as group, \
                connect(LangBot, stack.gateway.port, pipeline=PIPELINE) as stranger:
            assert await ok(stack, pipeline, "POST", "broadcast", {"message": message}) == {
                "message": "Broadcast sent successfully"}
            for member in (client, group):
                heard = (await member.expect("broadcast"))["message"]
                assert heard == message and type(heard) is type(message)
            await stranger.ping()
    run(stack, scenario, pipeline=pipeline)


@pytest.mark.parametrize("body", [None, b"", {}, {"message": None}, {"msg": "x"}, [], "message", 5], ids=repr)
def test_a_broadcast_of_nothing(stack, body):
    assert api(stack, PIPELINE, "POST", "broadcast", body) == (400, {"code": -1, "msg": "message is required"})


@pytest.mark.parametrize("body", [b"{", b"hello", b"{} {}", b'{"message":"\xff"}', b"[" * 10000], ids=lambda b: repr(b)[:20])
def test_a_broadcast_of_garbage(stack, body):
    status, answer = api(stack, PIPELINE, "POST", "broadcast", body)
    assert status == 400 and matches(answer, {"code": -1, "msg": str})


CALLS = [("GET", "messages/person"), ("POST", "reset/person"), ("GET", "connections"), ("POST", "broadcast")]


@pytest.mark.parametrize("method, action", CALLS)
@pytest.mark.parametrize("unknown", [str(uuid.uuid4()), "x" * 300, "%E4%BC%9A", "a%20b"], ids=lambda name: name[:8])
def test_an_unknown_pipeline_is_404(stack, method, action, unknown):
    assert api(stack, unknown, method, action, {"message": "x"} if action == "broadcast" else None) == (
        404, {"code": -1, "msg": "Pipeline not found"})


@pytest.mark.parametrize("method, action", [("GET", "messages/both"), ("POST", "reset/Person")])
def test_an_unknown_session_is_400(stack, method, action):
    assert api(stack, PIPELINE, method, action) == (
        400, {"code": -1, "msg": "session_type must be person or group"})


@pytest.mark.parametrize("method, action", CALLS)
def test_other_methods_are_405(stack, method, action):
    status, answer = api(stack, PIPELINE, "POST" if method == "GET" else "GET", action)
    assert status == 405 and matches(answer, {"code": -1, "msg": str}), answer


# ---- Beyond the original

class Extended(LangBot):
    SHAPES = {**LangBot.SHAPES, "cancelled": {"timestamp": number},
              "tool": lambda value: {"id", "name", "status"} <= set(value) <= {
                  "id", "name", "status", "arguments", "result"}}


def test_cancel_and_tool_steps(stack, model, pipeline):
    model.script("work", call(("calculator", {"expression": "123 + 456"})), report_results())
    model.script("long", say(["word "] * 2000, delay=0.02))

    async def scenario(client):
        async with connect(LangBot, stack.gateway.port, pipeline=pipeline) as other:
            frames = await client.ask("work")
            assert [frame["status"] for frame in frames if frame["type"] == "tool"] == ["running", "done"]
            other.text_of(await other.collect_final())
            await client.ask_only("long")
            while (await client.receive())["type"] != "response":
                pass
            await client.send({"type": "cancel"})
            frames = [await client.receive()]
            while frames[-1]["type"] != "cancelled":
                frames.append(await client.receive())
            assert {frame["type"] for frame in frames[:-1]} <= {"response"}
            await eventually(lambda: not model.asked("long")[-1].open, what="the provider's stream is closed")
            seen = await other.collect_final()  # it ends for the others as it stands
            assert (other.text_of(seen) + "word").startswith("word word")
            assert client.text_of(await client.ask("next")) == "You said: next"
            assert other.text_of(await other.collect_final()) == "You said: next"
    run_as(stack, Extended, scenario, pipeline=pipeline, parley=1)


def test_many_members_see_the_same(stack, model, pipeline):
    model.script("ai_all", say([f"{number} " for number in range(200)], delay=0.002))

    async def scenario(client):
        async def member():
            async with connect(LangBot, stack.gateway.port, pipeline=pipeline, session="group") as one:
                ready.append(one)
                await started.wait()
                frames = await one.collect_final()
                assert one.text_of(frames) == "".join(f"{number} " for number in range(200))
                return frames[0], frames[-1]
        ready, started = [], asyncio.Event()
        members = [asyncio.ensure_future(member()) for _ in range(30)]
        await eventually(lambda: len(ready) == 30, what="all are there")
        started.set()
        await client.ask("ai_all")
        assert len({json.dumps(seen) for seen in await asyncio.gather(*members)}) == 1
    run(stack, scenario, pipeline=pipeline, session="group")
