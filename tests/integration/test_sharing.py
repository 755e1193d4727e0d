"""Processes started beside the first share the work without any setting, and turns outlive their clients."""

import asyncio

import pytest

from client import connect, eventually
from model_server import say
from stack import Stack, sized

TURNS = sized(300, 120)
DELTAS = 20


@pytest.fixture(scope="module")
def stack(model):
    with Stack(model=model) as running:
        running.start(router=2, agent=3, gateway=2)
        yield running


def turn_text(turn):
    return [f"{turn}:{n} " for n in range(DELTAS)]


def completed(agent):
    return agent.metric("parley_turns_total", 'state="completed"')


def test_two_routers_and_three_agents_share_300_turns(stack, model):
    model.default = lambda request: say(turn_text(request.question), delay=0.05)
    before = {agent.name: completed(agent) for agent in stack.of("agent")}
    urls = [f"ws://127.0.0.1:{gateway.port}/ws/agent" for gateway in stack.of("gateway")]

    async def one(turn):
        async with connect(urls[turn % 2]) as client:
            answer = (await client.ask(f"turn-{turn}", timeout=120)).check_streamed()
            assert answer.text == "".join(turn_text(f"turn-{turn}"))

    async def scenario():
        await asyncio.gather(*(one(turn) for turn in range(TURNS)))
    asyncio.run(scenario())

    shares = {agent.name: completed(agent) - before[agent.name] for agent in stack.of("agent")}
    assert sum(shares.values()) == TURNS, shares
    assert min(shares.values()) >= TURNS / 20, shares
    accepted = [router.metric("parley_questions_total", 'result="accepted"') for router in stack.of("router")]
    assert sum(accepted) >= TURNS and min(accepted) >= TURNS / 20, accepted
    assert len(model.requests) == TURNS, "every question was asked once"
    assert all(request.finished and not request.open for request in model.requests)


def test_a_turn_runs_on_when_its_connection_goes(stack, model):
    model.default = None
    model.script("left", say(["word "] * 40, delay=0.03))

    async def scenario():
        async with connect(stack.url) as client:
            await client.ask_only("left")
            await client.until_chunk()
            await client.abandon()
        request = model.asked("left")[0]
        await eventually(lambda: not request.open, what="the stream ends")
        assert request.finished and not request.client_closed
    before = sum(completed(agent) for agent in stack.of("agent"))
    asyncio.run(scenario())

    async def counted():
        await eventually(lambda: sum(completed(agent) for agent in stack.of("agent")) == before + 1, what="completed")
    asyncio.run(counted())


def test_a_process_that_joins_gets_work_and_one_that_leaves_hands_it_over(stack, model):
    model.default = lambda request: say(turn_text(request.question), delay=0.05)
    joined = stack.add("agent")
    leaving = stack.of("agent")[0]

    async def one(turn):
        async with connect(stack.url) as client:
            answer = (await client.ask(f"later-{turn}", timeout=120)).check_streamed()
            assert answer.text == "".join(turn_text(f"later-{turn}"))

    async def scenario():
        turns = [asyncio.ensure_future(one(turn)) for turn in range(40)]
        await eventually(lambda: sum(r.question.startswith("later-") for r in model.requests) >= 20, what="turns run")
        leaving.terminate()
        await asyncio.gather(*turns)
    asyncio.run(scenario())
    assert leaving.wait(20) == 0
    leaving.killed = True
    assert completed(joined) > 0
