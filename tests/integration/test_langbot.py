"""Section 3 of the protocols, row by row: LangBot's documented client of a pipeline. Its groups are in
test_langbot_groups.py, its calls over HTTP in test_langbot_rest.py."""

import asyncio
import json
import time
import uuid

import pytest

from client import eventually
from dialects import PIPELINE, LangBot, check_answer, connect, iso_seconds, number
from langbot import ok, pipeline, run, stack
from model_server import call, refuse, report_results, say


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
    run(stack, scenario, Refused, **where)


def test_disconnect(stack, pipeline):
    async def scenario(client):
        await client.send({"type": "disconnect"})
        assert (await client.closed())[0] == 1000
    run(stack, scenario, pipeline=pipeline)


# ---- Messages

def test_the_documented_session(stack, model, pipeline):
    words = [f"word{number} " for number in range(100)]
    model.script("count", say(words, delay=0.02))

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
    run(stack, scenario, Extended, pipeline=pipeline, parley=1)


def test_a_question_that_is_cancelled_at_once_ends_for_the_others(stack, model, pipeline):
    model.script("regretted", say(["word "] * 2000, delay=0.02))

    async def scenario(client):
        async with connect(LangBot, stack.gateway.port, pipeline=pipeline) as other:
            for _ in range(5):
                await client.ask_only("regretted")
                await client.send({"type": "cancel"})
                seen = await other.collect_final()
                assert seen[0]["type"] == "user_message" and seen[-1]["data"]["is_final"] is True
                told = []
                while not {"cancelled", "user_message"} <= set(told):
                    told.append((await client.receive())["type"])
                assert "response" not in told[told.index("cancelled"):]
            await eventually(lambda: not model.open_streams(), what="no stream is left open")
            assert other.text_of(await other.ask("and now")) == "You said: and now"
            assert client.text_of(await client.collect_final()) == "You said: and now"
    run(stack, scenario, Extended, pipeline=pipeline, parley=1)


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
