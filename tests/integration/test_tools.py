"""Tools: called by the client itself, and by the model in the middle of an answer."""

import asyncio
import json
import time

import pytest

from client import connect, eventually, run_with
from model_server import call, report_results, say
from stack import Stack, has, sized
from tool_file import command_tools

pytestmark = pytest.mark.skipif(not has("tools"), reason="the tools service is not built")


def run(stack, scenario):
    run_with(connect(stack.url), scenario)


async def call_tool(client, name, params, **more):
    await client.send({"type": "tool_call", "tool_name": name, "params": params, **more})


@pytest.mark.parametrize("expression, result", [
    ("123 + 456", 579), ("2 * (3 + 4)", 14), ("7 / 2", 3.5), ("10 / 2", 5), ("-5 + 2", -3), ("2^10", 1024)])
def test_calculator(stack, expression, result):
    async def scenario(client):
        await call_tool(client, "calculator", {"expression": expression})
        frame = await client.expect("tool_result")
        assert frame["tool_name"] == "calculator"
        assert frame["result"] == result and type(frame["result"]) is type(result)
    run(stack, scenario)


def test_current_time(stack):
    async def scenario(client):
        await call_tool(client, "current_time", {})
        assert (await client.expect("tool_result"))["result"]
    run(stack, scenario)


@pytest.mark.parametrize("params", [
    None, 5, "1+1", [], {}, {"expression": 5}, {"expression": ""}, {"expression": "1 +"}, {"expression": "system(1)"},
    {"expression": "(" * 10000}, {"expression": "9" * 100000}, {"expression": "1/0"}], ids=lambda value: str(value)[:30])
def test_bad_params(stack, params):
    async def scenario(client):
        await call_tool(client, "calculator", params)
        await client.expect_error("Tool call failed: ")
        await client.ping()
    run(stack, scenario)


def test_params_left_out(stack):
    async def scenario(client):
        await client.send({"type": "tool_call", "tool_name": "calculator"})
        await client.expect_error("Tool call failed: ")
    run(stack, scenario)


@pytest.mark.parametrize("name", ["nothing", "会话", "a b", "x" * 300, "calculator.x", "*", ">"], ids=lambda value: value[:12])
def test_no_such_tool(stack, name):
    async def scenario(client):
        await call_tool(client, name, {})
        await client.expect_error(f"Tool not found: {name}")
    run(stack, scenario)


def test_a_call_runs_beside_an_answer(stack, model):
    model.script("slow", say(["word "] * 40, delay=0.05))

    async def scenario(client):
        await client.ask_only("slow")
        await client.until_chunk()
        await call_tool(client, "calculator", {"expression": "1 + 1"})
        frame = await client.receive()
        while frame["type"] == "stream_chunk":
            frame = await client.receive()
        assert frame["type"] == "tool_result" and frame["result"] == 2
        assert (await client.collect()).final["type"] == "stream_end"
    run(stack, scenario)


@pytest.mark.parametrize("split", [None, 1])
def test_the_model_calls_tools(stack, model, split):
    question = f"tools-{split}"
    model.script(
        question,
        call(("calculator", {"expression": "123 + 456"}), ("calculator", {"expression": "2 * 3"}), text="Let me see. ",
             pieces=3, split=split),
        call(("calculator", {"expression": "579 * 6"})),
        report_results())

    async def scenario(client):
        answer = (await client.ask(question)).check_streamed()
        assert answer.text == 'Let me see. results: ["579", "6", "3474"]'
    run(stack, scenario)
    first, second, third = model.asked(question)
    assert {tool["function"]["name"] for tool in first.body["tools"]} >= {"calculator", "current_time"}
    assistant = next(m for m in second.messages if m.get("tool_calls"))
    assert [json.loads(c["function"]["arguments"]) for c in assistant["tool_calls"]] == [
        {"expression": "123 + 456"}, {"expression": "2 * 3"}]
    assert [c["id"] for c in assistant["tool_calls"]] == [
        m["tool_call_id"] for m in second.messages if m["role"] == "tool"]
    assert len([m for m in third.messages if m["role"] == "tool"]) == 3


@pytest.mark.parametrize("name, arguments", [
    ("nothing", "{}"), ("calculator", "{"), ("calculator", "[]"), ("calculator", ""), ("bad name!", "{}")])
def test_a_bad_call_of_the_model_is_told_to_the_model(stack, model, name, arguments):
    question = f"bad {name} {arguments}"
    model.script(question, call((name, arguments)), say("I am sorry."))

    async def scenario(client):
        answer = await client.ask(question)
        assert answer.text == "I am sorry." and answer.final["type"] == "stream_end"
    run(stack, scenario)
    assert len(model.asked(question)[1].tool_results()) == 1


def test_a_model_that_calls_without_end(stack, model):
    model.script("endless", call(("calculator", {"expression": "1"})))

    async def scenario(client):
        begun = time.monotonic()
        answer = await client.ask("endless")
        assert answer.final["type"] == "error" and answer.final["error"].startswith("Streaming failed: ")
        assert time.monotonic() - begun < 20
        (await client.ask("and then")).check_streamed()
    run(stack, scenario)
    assert len(model.asked("endless")) <= 12


def test_no_tools_service(stack, model):
    tools = stack.of("tools")[0]
    stack.remove(tools)
    model.script("toolless", say("There are none."))

    async def scenario(client):
        begun = time.monotonic()
        await call_tool(client, "calculator", {"expression": "1"})
        await client.expect_error("Tool call failed: ")
        assert time.monotonic() - begun < 5
        (await client.ask("toolless")).check_streamed()
    run(stack, scenario)
    tools.killed = False
    stack.restart(tools)

    async def again(client):
        await call_tool(client, "calculator", {"expression": "1"})
        assert (await client.expect("tool_result"))["result"] == 1
    run(stack, again)


def test_a_call_outlives_the_broker(model, tmp_path):
    """It runs on, and is not run again: who asks again, by its id, gets the one result."""
    notes = tmp_path / "notes"
    config = command_tools(tmp_path, {"slow": f"echo called >> '{notes}'; sleep 1; echo '\"rested\"'"})
    model.script("rest", call(("slow", {}), ("calculator", {"expression": "1 + 1"})), report_results())

    async def scenario(stack):
        async with connect(stack.url) as client:
            await client.ask_only("rest")
            await eventually(notes.exists, what="the tool runs")
            await asyncio.to_thread(stack.broker.kill)
            await asyncio.to_thread(stack.broker.start)
            answer = (await client.collect(60)).check_streamed()
            assert json.loads(answer.text.removeprefix("results: ")) == ['"rested"', "2"]
    with Stack(model=model, TOOLS_CONFIG=config) as stack:
        stack.start(router=1, agent=1, tools=1, gateway=1)
        asyncio.run(scenario(stack))
    assert notes.read_text(encoding="utf-8") == "called\n"


TURNS = sized(200, 40)
ROUNDS = 3
# Writes down what it was called with, and answers with that.
NOTE = "call=$(cat); printf '%s\\n' \"$call\" >> '{path}'; printf '%s' \"$call\""


def in_rounds(request):
    """A model that calls two tools a round, and in the end says what they said."""
    done = len(request.tool_results()) // 2
    if done == ROUNDS:
        return report_results()
    return call(("note", {"question": request.question, "round": done}), ("calculator", {"expression": f"{done} + 1"}),
                text=f"round {done}. ", pieces=7)


def test_many_turns_over_three_agents_and_two_tools_processes(model, tmp_path):
    notes = tmp_path / "notes"
    config = command_tools(tmp_path, {"note": NOTE.format(path=notes)})
    model.default = in_rounds

    async def one(stack, question):
        async with connect(stack.url) as client:
            answer = (await client.ask(question, timeout=120)).check_streamed()
        said = [f"round {n}. " for n in range(ROUNDS)]
        assert answer.text.startswith("".join(said) + "results: ")
        results = json.loads(answer.text.removeprefix("".join(said) + "results: "))
        assert [json.loads(result) for result in results] == [
            value for n in range(ROUNDS) for value in ({"question": question, "round": n}, n + 1)]

    async def all_at_once(stack):
        await asyncio.gather(*(one(stack, f"turn {n}") for n in range(TURNS)))

    with Stack(model=model, TOOLS_CONFIG=config, TOOL_TIMEOUT_MS=60000, TOOL_CALL_TIMEOUT_MS=90000,
               LLM_FIRST_TOKEN_TIMEOUT_MS=60000) as stack:
        stack.start(router=1, agent=3, tools=2, gateway=1)
        asyncio.run(all_at_once(stack))
        calls = [tools.metric("parley_tool_calls_total", 'status="ok"') for tools in stack.of("tools")]
        turns = [agent.metric("parley_turns_total", 'state="completed"') for agent in stack.of("agent")]
    model.default = None
    noted = sorted(notes.read_text(encoding="utf-8").splitlines())
    assert noted == sorted(json.dumps({"question": f"turn {n}", "round": r}, separators=(",", ":"))
                           for n in range(TURNS) for r in range(ROUNDS)), "every call once, none twice"
    assert sum(calls) == 2 * ROUNDS * TURNS and all(calls), calls
    assert sum(turns) == TURNS and all(turns), turns
