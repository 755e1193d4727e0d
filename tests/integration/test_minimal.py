"""Section 4 of the protocols, row by row: the minimal protocol's documented client against /ws/chat/{user_id}."""

import asyncio
import itertools
import json
import uuid

import pytest
import websockets

from client import eventually, run_with
from dialects import OPTIONS, Minimal, connect, number, url_of
from model_server import call, cut, refuse, report_results, say
from stack import Stack
from tool_file import command_tools

EMPTY = "查询内容不能为空"
NO_JSON = "服务器错误: "
FAILED = "处理出错: "


@pytest.fixture(scope="module")
def stack(model, tmp_path_factory):
    tools = command_tools(tmp_path_factory.mktemp("tools"), {"credential": 'printf "<%s>" "$PARLEY_CREDENTIAL"'})
    with Stack(model=model, TOOLS_CONFIG=tools) as running:
        running.start(router=1, agent=1, tools=1, gateway=1)
        yield running


@pytest.fixture
def user():
    """One that has said nothing."""
    return str(uuid.uuid4())


def run(stack, scenario, user, **where):
    run_with(connect(Minimal, stack.gateway.port, user=user, **where), scenario)


def kinds(frames):
    return [frame.get("status") or ("end" if frame.get("is_final") else frame["type"]) for frame in frames]


# ---- Questions

def test_the_documented_session(stack, model, user):
    model.script("你好", say(["你", "好", "！"], delay=0.3))

    async def scenario(client):
        frames = await client.ask("你好", token="their token")
        assert [kind for kind, _ in itertools.groupby(kinds(frames))] == ["thinking", "chunk", "end", "completed"]
        assert kinds(frames).count("chunk") > 1, "what waits is put together"
        assert client.text_of(frames) == "你好！"
        assert await client.answer("hello") == "You said: hello"
        assert await client.answer("hello", token=None) == "You said: hello"
    run(stack, scenario, user)


def test_nothing_is_said_first(stack, user):
    async def scenario(client):
        with pytest.raises(asyncio.TimeoutError):
            await client.receive(0.3)
    run(stack, scenario, user)


def test_tools_between_chunks(stack, model, user):
    model.script("sums", call(("calculator", {"expression": "123 + 456"}), text="One moment. "),
                 call(("calculator", {"expression": "1 + 1"}), ("current_time", {})), report_results())

    async def scenario(client):
        frames = await client.ask("sums")
        assert kinds(frames)[:5] == ["thinking", "chunk", "tool_calling", "tool_completed", "tool_calling"]
        assert kinds(frames)[-2:] == ["end", "completed"]
        tools = [(frame["status"], frame["data"]["tool"]) for frame in frames if "tool" in frame.get("data", {})]
        assert tools[:2] == [("tool_calling", "calculator"), ("tool_completed", "calculator")]
        assert sorted(tools[2:]) == [("tool_calling", "calculator"), ("tool_calling", "current_time"),
                                     ("tool_completed", "calculator"), ("tool_completed", "current_time")]
        assert client.text_of(frames).startswith("One moment. ")
    run(stack, scenario, user)


def test_an_answer_without_text(stack, model, user):
    model.script("nothing", say([]))

    async def scenario(client):
        assert kinds(await client.ask("nothing")) == ["thinking", "end", "completed"]
    run(stack, scenario, user)


def test_text_passes_through_exactly(stack, user):
    text = "emoji 🙂 CJK 会话 escapes \\ \" \n\t\x01 nul \0 end"

    async def scenario(client):
        assert await client.answer(text) == f"You said: {text}"
    run(stack, scenario, user)


def test_the_user_is_the_conversation(stack, model, user):
    async def scenario(client):
        await client.answer("I am Ada")
    run(stack, scenario, user)
    run(stack, scenario, user + "x")

    async def again(client):
        await client.answer(f"who am I? {user}")
    run(stack, again, user)
    contents = [message["content"] for message in model.asked(f"who am I? {user}")[0].messages]
    assert contents[1:] == ["I am Ada", "You said: I am Ada", f"who am I? {user}"]


@pytest.mark.parametrize("name", ["ada", "会话 🙂", "a b", "a@b.c", "100%", "x" * 200, "..", "%2e", "a?b#c&d=e"])
def test_any_user(stack, name):
    async def scenario(client):
        assert await client.answer("hello") == "You said: hello"
    run(stack, scenario, name)


@pytest.mark.parametrize("path", ["/ws/chat/", "/ws/chat/a/b", "/ws/other"])
def test_no_user_is_404(stack, path):
    async def scenario():
        with pytest.raises(websockets.InvalidStatusCode) as refused:
            await websockets.connect(url_of(Minimal, stack.gateway.port, path=path), **OPTIONS)
        assert refused.value.status_code == 404
    asyncio.run(scenario())


def test_all_sockets_of_a_user_get_the_answer(stack, model, user):
    model.script("to all", call(("calculator", {"expression": "1 + 1"})), say(["to ", "all"], delay=0.05))

    async def scenario(client):
        async with connect(Minimal, stack.gateway.port, user=user) as second, \
                connect(Minimal, stack.gateway.port, user=user) as third, \
                connect(Minimal, stack.gateway.port, user=user + "x") as stranger:
            assert await client.answer("to all") == "to all"
            for other in (second, third):
                frames = await other.collect_final()
                assert other.text_of(frames) == "to all"
                assert "tool_calling" in kinds(frames) and "tool_completed" in kinds(frames)
            await stranger.ping()
            assert await third.answer("back") == "You said: back"
            for other in (client, second):
                assert other.text_of(await other.collect_final()) == "You said: back"
    run(stack, scenario, user)


def test_a_gateway_that_gives_up_does_so_for_itself(stack, model, user):
    """The answer is too long for one that only follows it; who asked for it elsewhere gets all of it."""
    text = [f"word {number:03} " for number in range(200)]
    model.script("too long", say(text, delay=0.005))
    near, far = stack.gateway, stack.add("gateway", ANSWER_MAX_BYTES=1024)

    async def scenario():
        async with connect(Minimal, near.port, user=user) as asking, connect(Minimal, far.port, user=user) as other:
            assert await asking.answer("too long") == "".join(text)
            assert (await other.collect_final())[-1]["content"] == f"{FAILED}the answer is too long"
            assert await other.answer("and on") == "You said: and on"
            assert asking.text_of(await asking.collect_final()) == "You said: and on"
    asyncio.run(scenario())
    stack.remove(far)


def test_the_token_is_passed_on_to_tools(stack, model, user):
    model.script("mine", *[call(("credential", {})), report_results()] * 2)

    async def scenario(client):
        assert "<open sesame>" in await client.answer("mine", token="open sesame")
        assert "<>" in await client.answer("mine")
    run(stack, scenario, user)


def test_answers_come_one_after_the_other(stack, model, user):
    model.script("slow", say(["slow ", "answer"], delay=0.3))

    async def scenario(client):
        await client.ask_only("slow")
        await client.ask_only("quick")
        assert client.text_of(await client.collect_final()) == "slow answer"
        assert client.text_of(await client.collect_final()) == "You said: quick"
    run(stack, scenario, user)


def test_a_protocol_ping_is_answered_at_once(stack, model, user):
    model.script("pinged", say(["slow ", "answer"], delay=1))

    async def scenario(client):
        await client.ask_only("pinged")
        await asyncio.wait_for(await client.socket.ping(), 5)
        assert not any(request.finished for request in model.asked("pinged")), "the answer runs"
        assert client.text_of(await client.collect_final()) == "slow answer"
    run(stack, scenario, user)


# ---- What is wrong

WRONG = [
    ("", NO_JSON), ("{", NO_JSON), ("hello", NO_JSON), ('{"query":"x"} {}', NO_JSON), ("[]", NO_JSON), ("null", NO_JSON),
    ('"query"', NO_JSON), ("5", NO_JSON),
    ({}, EMPTY), ({"query": ""}, EMPTY), ({"query": " \t\n\u3000"}, EMPTY), ({"query": None}, EMPTY), ({"query": 5}, EMPTY),
    ({"query": ["x"]}, EMPTY), ({"type": "ping"}, EMPTY), ({"type": "cancel"}, EMPTY),
    ({"query": "x", "token": 5}, FAILED), ({"query": "x", "token": {}}, FAILED), ({"query": "x", "token": "a\0b"}, FAILED),
]


@pytest.mark.parametrize("frame, says", WRONG, ids=lambda value: str(value)[:60])
def test_what_is_wrong_is_an_error_and_the_connection_stays(stack, user, frame, says):
    async def scenario(client):
        await client.send_raw(frame if isinstance(frame, str) else json.dumps(frame))
        await client.expect_error(says)
        await client.ping()
    run(stack, scenario, user)


def test_a_failing_model_is_an_error_and_the_next_question_works(stack, model, user):
    model.script("fails", refuse(500, "out of order"))
    model.script("breaks", cut(["half "]))

    async def scenario(client):
        frames = await client.ask("fails")
        assert kinds(frames) == ["thinking", "error"]
        assert frames[-1]["content"].startswith(FAILED) and "out of order" in frames[-1]["content"]
        frames = await client.ask("breaks")
        assert kinds(frames)[0] == "thinking" and frames[-1]["content"].startswith(FAILED)
        assert await client.answer("and on") == "You said: and on"
    run(stack, scenario, user)


# ---- Beyond the original

class Extended(Minimal):
    SHAPES = {**Minimal.SHAPES, "cancelled": {"timestamp": number},
              "tool": lambda value: {"id", "name", "status"} <= set(value) <= {
                  "id", "name", "status", "arguments", "result"}}


def test_cancel_and_tool_steps(stack, model, user):
    model.script("work", call(("calculator", {"expression": "123 + 456"})), report_results())
    model.script("long", say(["word "] * 2000, delay=0.02))

    async def scenario():
        async with connect(Extended, stack.gateway.port, user=user, parley=1) as client, \
                connect(Minimal, stack.gateway.port, user=user) as other:
            frames = await client.ask("work")
            assert [frame["status"] for frame in frames if frame["type"] == "tool"] == ["running", "done"]
            other.text_of(await other.collect_final())
            await client.ask_only("long")
            while (await client.receive())["type"] != "chunk":
                pass
            await client.send({"type": "cancel"})
            frames = [await client.receive()]
            while frames[-1]["type"] != "cancelled":
                frames.append(await client.receive())
            assert {frame["type"] for frame in frames[:-1]} <= {"chunk"}
            await eventually(lambda: not model.asked("long")[-1].open, what="the provider's stream is closed")
            assert (await other.collect_final())[-1]["content"].startswith(FAILED)
            assert await client.answer("next") == "You said: next"
            other.text_of(await other.collect_final())
    asyncio.run(scenario())
