"""One trace id (W3C Trace Context) from the client to the provider, the tools, and the log lines of all services."""

import asyncio
import json
import re

import pytest

from client import connect
from model_server import call, report_results, say
from process import wait_until
from stack import Stack, has, sized
from tool_file import command_tools

pytestmark = pytest.mark.skipif(not has("tools"), reason="the tools service is not built")

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])")
SHOW = """printf '"%s"' "$TRACEPARENT" """


@pytest.fixture(scope="module")
def stack(model, tmp_path_factory):
    with Stack(model=model, TOOLS_CONFIG=command_tools(tmp_path_factory.mktemp("tools"), {"trace": SHOW})) as running:
        running.start(router=1, agent=1, gateway=1, tools=1)
        yield running


def parts(header):
    match = FORM.fullmatch(header)
    assert match, header
    return match.groups()


def lines(stack, **fields):
    """Of all services: (service, line) of the log lines with these fields."""
    return [(process.service, line) for process in stack.services for line in process.log_lines()
            if all(line.get(name) == value for name, value in fields.items())]


async def ask_with_tool(stack, model, question, headers=None):
    """Asks a question that the model answers with the tool's help, over a new connection or the given one. Returns the
    headers that came to the model (twice) and to the tool."""
    model.script(question, call(("trace", {})), report_results(""))
    async with connect(stack.url, extra_headers=headers) as client:
        return await ask_again(client, model, question)


async def ask_again(client, model, question):
    model.script(question, call(("trace", {})), report_results(""))
    answer = (await client.ask(question, timeout=sized(30, 120))).check_streamed()
    (shown,) = json.loads(answer.text)
    return [request.headers["traceparent"] for request in model.asked(question)] + [json.loads(shown)]


def check_logs(stack, trace):
    """Every service has spoken of it, and no line about the same turn or call lacks it."""
    wait_until(lambda: lines(stack, message="turn saved", trace=trace), what="the turn is saved")
    found = lines(stack, trace=trace)
    assert {service for service, _ in found} == {"gateway", "router", "agent", "tools"}
    for name in ("turn", "call"):
        for value in {line[name] for _, line in found if name in line}:
            for service, line in lines(stack, **{name: value}):
                assert line.get("trace") == trace, f"{service}: {line}"


@pytest.mark.parametrize("flags, sampled", [("01", "1"), ("00", "0"), ("03", "1")])
def test_a_given_one_goes_everywhere(stack, model, flags, sampled):
    trace = TRACE[:-2] + flags
    sent = {"traceparent": f"00-{trace}-{PARENT}-{flags}"}
    seen = [parts(header) for header in asyncio.run(ask_with_tool(stack, model, f"given {flags}", sent))]
    assert [(found, flag) for found, _, flag in seen] == [(trace, sampled)] * 3
    parents = [parent for _, parent, _ in seen]
    assert len(set(parents) | {PARENT}) == 4, "each hop has a parent id of its own"
    check_logs(stack, trace)


def test_each_question_makes_one_where_none_is_given(stack, model):
    async def scenario():
        async with connect(stack.url) as client:
            return [await ask_again(client, model, question) for question in ("first made", "second made")]
    traces = []
    for headers in asyncio.run(scenario()):
        (trace,) = {parts(header)[0] for header in headers}
        check_logs(stack, trace)
        traces.append(trace)
    assert traces[0] != traces[1]


@pytest.mark.parametrize("sent", [
    "nonsense", f"00-{TRACE.upper()}-{PARENT}-01", f"00-{'0' * 32}-{PARENT}-01", f"00-{TRACE}-{'0' * 16}-01",
    f"ff-{TRACE}-{PARENT}-01", f"00-{TRACE}-{PARENT}-01-more"])
def test_one_that_is_not_valid_is_replaced(stack, model, sent):
    headers = asyncio.run(ask_with_tool(stack, model, f"invalid {sent}", {"traceparent": sent}))
    (trace,) = {parts(header)[0] for header in headers}
    assert trace != TRACE
    check_logs(stack, trace)


def test_a_call_by_the_client_bears_it(stack):
    trace = TRACE[::-1]

    async def scenario():
        async with connect(stack.url, extra_headers={"traceparent": f"00-{trace}-{PARENT}-01"}) as client:
            await client.send({"type": "tool_call", "tool_name": "trace", "params": {}})
            return (await client.expect("tool_result"))["result"]
    assert parts(asyncio.run(scenario()))[0] == trace
    assert {service for service, _ in lines(stack, trace=trace)} >= {"gateway", "router", "tools"}


def test_a_question_that_fails_bears_it(stack, model):
    trace = "f" * 32

    async def scenario():
        model.script("fails", say(["half"], finish=None))
        async with connect(stack.url, extra_headers={"traceparent": f"00-{trace}-{PARENT}-01"}) as client:
            return await client.ask("fails", timeout=sized(60, 120))
    asyncio.run(scenario())
    assert ("agent", trace) in {(service, line["trace"]) for service, line in lines(stack, trace=trace)}


def test_waiting_jobs_are_counted(stack, model):
    (agent,) = stack.of("agent")
    gauge = "parley_jobs_pending"
    assert agent.metric(gauge) == 0
    with Stack(model=model, AGENT_MAX_TURNS=1) as small:
        small.start(router=1, agent=1, gateway=1)
        (busy,) = small.of("agent")
        model.script("long", say(["word "] * 400, delay=0.05))

        async def scenario():
            async with connect(small.url) as first, connect(small.url) as second, connect(small.url) as third:
                await first.ask_only("long")
                await first.until_chunk()
                await second.ask_only("long")
                await third.ask_only("long")
                # One more than there is room for may be on its way to the agent.
                await asyncio.to_thread(wait_until, lambda: busy.metric(gauge) >= 1, 30, "jobs that wait")
                for client in (first, second, third):
                    await client.abandon()
        asyncio.run(scenario())
