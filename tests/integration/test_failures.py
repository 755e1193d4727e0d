"""What a model provider and tools can do to us: each ends with one clear error in bounded time, and the next question
works."""

import asyncio
import json
import os
import signal
import socket
import time

import pytest

from client import connect, eventually
from model_server import call, cut, garbage, hang, huge_line, refuse, report_results, say, stall
from stack import sized
from tool_file import command_tools, running

SETTINGS = {"LLM_FIRST_TOKEN_TIMEOUT_MS": 1000, "LLM_STALL_TIMEOUT_MS": 1000, "LLM_CONNECT_TIMEOUT_MS": 1000,
            "AGENT_MAX_RESUMES": 1, "TOOL_TIMEOUT_MS": 1000, "TOOL_MAX_OUTPUT": 65536, "TOOL_MAX_CONCURRENT": 4,
            "AGENT_MAX_TOOL_ROUNDS": 3, "TOOL_CALL_TIMEOUT_MS": 4000}
BOUND_SECONDS = sized(10, 30)

CONTEXT = json.dumps({"error": {"message": "maximum context length is 8192 tokens", "code": "context_length_exceeded"}})
FAULTS = {
    "401": (refuse(401, "Incorrect API key provided"), "the key of this service is refused"),
    "403": (refuse(403, "no access to this model"), "no access to this model"),
    "404": (refuse(404, "there is no such model"), "there is no such model"),
    "429": (refuse(429, "slow down", retry_after=0), "slow down"),
    "429-long": (refuse(429, "come back tomorrow", retry_after=86400), "come back tomorrow"),
    "500": (refuse(500, "out of order"), "out of order"),
    "503-html": (refuse(503, body=b"<html><body>" + b"x" * 100_000), ""),
    "context": (refuse(400, body=CONTEXT.encode()), "maximum context length"),
    "no-json": (refuse(400, body=b"\x00\xff\xfe{"), ""),
    "garbage": (garbage(), ""),
    "garbage-later": (garbage(["some ", "words "]), ""),
    "garbage-type": (garbage(data=b'data: {"choices":5}\n\n'), ""),
    "binary": (garbage(data=bytes(range(256)) * 50 + b"\n\ndata: {\n\n"), ""),
    "huge-line": (huge_line(), ""),
    "cut-at-once": (cut([]), ""),
    "cut": (cut(["half ", "an answ"]), ""),
    "stall-at-once": (stall(), ""),
    "stall": (stall(["some ", "words "]), ""),
    "hang": (hang(), ""),
    "withheld": (say([], finish="content_filter"), "withheld the answer"),
    "error-in-mid-stream": (garbage(["some "], b'data: {"error":{"message":"overloaded"}}\n\n'), "overloaded"),
}

# name → shell script, and what its failure is called. The tag finds what is left running of them.
TAG = f"600{os.getpid():08}"
TOOLS = {
    "hangs": (f"exec sleep {TAG}", "the tool took too long"),
    "ignores": (f"trap '' TERM HUP INT; while :; do sleep 1; done # {TAG}", "the tool took too long"),
    "leaves_children": (f"sleep {TAG} & sleep {TAG}", "the tool took too long"),
    "ends_before_its_children": (f"sleep {TAG} >/dev/null 2>&1 & exit 1", "the tool ended with status 1"),
    "floods": (f"exec yes {TAG}", "the tool's output is too large"),
    "floods_errors": (f"yes {TAG} >&2 & sleep 0.2; kill $!; exit 3", TAG),
    "dies": ("kill -SEGV $$", "signal 11"),
    "fails": ("echo 'no such city' >&2; exit 1", "no such city"),
    "is_binary": ("printf '\\377\\376'", "not valid UTF-8"),
    "is_missing": (None, "could not be started"),
}


@pytest.fixture(scope="module")
def settings(tmp_path_factory):
    scripts = {name: script for name, (script, _says) in TOOLS.items()}
    return {**SETTINGS, "TOOLS_CONFIG": command_tools(tmp_path_factory.mktemp("tools"), scripts)}


@pytest.mark.parametrize("stream", [True, False], ids=["streaming", "whole"])
@pytest.mark.parametrize("fault", FAULTS)
def test_fault(stack, model, fault, stream):
    behaviour, says = FAULTS[fault]
    model.script(fault, behaviour)

    async def scenario():
        async with connect(stack.url) as client:
            begun = time.monotonic()
            answer = await client.ask(fault, stream=stream)
            assert answer.final["type"] == "error", answer.final
            error = answer.final["error"]
            assert error.startswith("Streaming failed: " if stream else "Query failed: ") and says in error, error
            assert len(error) < 2000 and "secret" not in error
            assert time.monotonic() - begun < BOUND_SECONDS
            answer = await client.ask("next")
            assert answer.final["type"] == "stream_end" and answer.text == "You said: next"
    asyncio.run(scenario())
    deadline = time.monotonic() + 5
    while model.open_streams() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not model.open_streams()


@pytest.mark.parametrize("deltas", [[], ["half ", "an answer "]], ids=["at-once", "later"])
def test_comments_buy_no_time(stack, model, deltas):
    """What comes only to keep the connection alive does not put a timeout off."""
    seconds = SETTINGS["LLM_STALL_TIMEOUT_MS"] / 1000

    async def took(question):
        """Each of its requests."""
        model.script(question, stall(deltas, comment_every=0.9 * seconds))
        async with connect(stack.url) as client:
            assert (await client.ask(question)).final["type"] == "error"
        requests = model.asked(question)
        await eventually(lambda: all(request.closed for request in requests), what="the model sees that it was left")
        assert len(requests) == (2 if deltas else 1)  # an answer that has begun is gone on with
        assert all(request.client_closed for request in requests)
        return [request.closed - request.received for request in requests]

    for n in range(3):  # the machine may be busy with other things
        times = asyncio.run(took(f"comments {len(deltas)} {n}"))
        if all(0.9 * seconds < time_ < 1.3 * seconds for time_ in times):
            return
    raise AssertionError(times)


def test_one_retry_after_429(stack, model):
    model.script("retried", refuse(429, retry_after=1), say("second try"))

    async def scenario():
        async with connect(stack.url) as client:
            assert (await client.ask("retried")).check_streamed().text == "second try"
    asyncio.run(scenario())
    first, second = model.asked("retried")
    assert 0.9 <= second.received - first.received < 5


def test_a_429_to_an_answer_that_is_gone_on_with(stack, model):
    deltas = ["some ", "words ", "more"]
    model.script("late-429", cut(deltas[:2]), refuse(429, retry_after=0), say(deltas))

    async def scenario():
        async with connect(stack.url) as client:
            assert (await client.ask("late-429")).check_streamed().text == "".join(deltas)
    asyncio.run(scenario())


def test_no_second_retry(stack, model):
    model.script("twice", refuse(429, "still too fast", retry_after=0))

    async def scenario():
        async with connect(stack.url) as client:
            assert "still too fast" in (await client.ask("twice")).final["error"]
    asyncio.run(scenario())
    assert len(model.asked("twice")) == 2


def test_an_answer_that_broke_off_is_gone_on_with(stack, model):
    deltas = ["The ", "answer ", "goes ", "on ", "here."]
    model.script("resumed", cut(deltas[:2]), say(deltas))

    async def scenario():
        async with connect(stack.url) as client:
            assert (await client.ask("resumed")).check_streamed().text == "".join(deltas)
    asyncio.run(scenario())
    assert model.asked("resumed")[1].prefix == "The answer "


def check_unreachable(stack, base_url):
    [agent] = stack.running("agent")
    stack.remove(agent)
    lonely = stack.add("agent", OPENAI_BASE_URL=base_url)

    async def scenario():
        async with connect(stack.url) as client:
            begun = time.monotonic()
            answer = await client.ask("anybody")
            assert answer.final["type"] == "error" and answer.final["error"].startswith("Streaming failed: ")
            assert time.monotonic() - begun < BOUND_SECONDS
            await asyncio.to_thread(stack.remove, lonely)
            agent.killed = False
            await asyncio.to_thread(stack.restart, agent)
            (await client.ask("next")).check_streamed()
    asyncio.run(scenario())


def test_a_provider_that_refuses_connections(stack):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # bound, but nobody listens
        check_unreachable(stack, f"http://127.0.0.1:{closed.getsockname()[1]}/v1")


def test_a_provider_that_accepts_no_connection(stack):
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        # Its queue is full: what comes now is dropped.
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(deaf.getsockname())
        check_unreachable(stack, f"http://127.0.0.1:{deaf.getsockname()[1]}/v1")
        for one in waiting:
            one.close()


def test_a_provider_of_no_known_name(stack):
    check_unreachable(stack, "http://provider.invalid/v1")


# ---- Tools

@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_fails_its_client(stack, tool):
    async def scenario():
        async with connect(stack.url) as client:
            begun = time.monotonic()
            await client.send({"type": "tool_call", "tool_name": tool, "params": {}})
            assert TOOLS[tool][1] in await client.expect_error("Tool call failed: ")
            assert time.monotonic() - begun < BOUND_SECONDS
            await client.send({"type": "tool_call", "tool_name": "calculator", "params": {"expression": "1 + 1"}})
            assert (await client.expect("tool_result"))["result"] == 2
            await eventually(lambda: not running(TAG), what="nothing of it is left running")
    asyncio.run(scenario())


@pytest.mark.parametrize("tool", TOOLS)
def test_a_tool_fails_the_model(stack, model, tool):
    """Which is told, and answers; an answer of its own, or another tool's in the same round, is not harmed."""
    question = f"tool {tool}"
    model.script(question, call((tool, {}), ("calculator", {"expression": "1 + 1"})), report_results())

    async def scenario():
        async with connect(stack.url) as client:
            begun = time.monotonic()
            answer = (await client.ask(question)).check_streamed()
            assert time.monotonic() - begun < BOUND_SECONDS
            failed, sum_ = json.loads(answer.text.removeprefix("results: "))
            assert TOOLS[tool][1] in failed and sum_ == "2"
            (await client.ask("next")).check_streamed()
    asyncio.run(scenario())
    assert len(model.asked(question)) == 2


def test_hanging_tools_hold_up_their_own_kind_only(stack):
    """As many as may run at a time, and as many again: each ends in bounded time, and so does the one behind them."""
    async def scenario():
        async with connect(stack.url) as client:
            begun = time.monotonic()
            for _ in range(8):
                await client.send({"type": "tool_call", "tool_name": "hangs", "params": {}})
            await client.ping()
            for _ in range(8):
                await client.expect_error("Tool call failed: ")
            await client.send({"type": "tool_call", "tool_name": "calculator", "params": {"expression": "1 + 1"}})
            assert (await client.expect("tool_result"))["result"] == 2
            assert time.monotonic() - begun < BOUND_SECONDS
    asyncio.run(scenario())


def test_a_tools_process_that_dies_with_its_calls(stack, model):
    """Whoever waits is told in time; the work goes to those that are left."""
    model.script("orphaned", call(("hangs", {})), report_results())
    doomed = stack.add("tools", TOOL_TIMEOUT_MS=60000)
    [other] = [tools for tools in stack.running("tools") if tools is not doomed]
    stack.remove(other)

    async def scenario():
        async with connect(stack.url) as client:
            begun = time.monotonic()
            await client.ask_only("orphaned")
            await eventually(lambda: running(TAG), what="the tool runs")
            await asyncio.to_thread(doomed.kill)
            other.killed = False
            await asyncio.to_thread(stack.restart, other)
            answer = (await client.collect()).check_streamed()
            assert "did not answer in time" in answer.text
            assert time.monotonic() - begun < BOUND_SECONDS
            (await client.ask("next")).check_streamed()
    asyncio.run(scenario())
    for pid in running(TAG):  # the child outlives a parent that was killed
        os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("calls", [1, 40], ids=["rounds", "calls"])
def test_a_model_that_calls_without_end(stack, model, calls):
    question = f"endless {calls}"
    model.script(question, call(*[("calculator", {"expression": "1"})] * calls))

    async def scenario():
        async with connect(stack.url) as client:
            answer = await client.ask(question)
            assert answer.final["type"] == "error" and answer.final["error"].startswith("Streaming failed: the model ")
            (await client.ask("next")).check_streamed()
    asyncio.run(scenario())
    assert len(model.asked(question)) == (4 if calls == 1 else 1)
