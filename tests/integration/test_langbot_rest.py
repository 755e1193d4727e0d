"""Section 3 of the protocols: what LangBot's clients call over HTTP."""

import asyncio
import uuid

import pytest

from dialects import PIPELINE, RESPONSE, USER_MESSAGE, LangBot, connect, count, iso, matches, uuid4
from langbot import api, ok, pipeline, run, stack


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
