"""Providers that answer the assistant's last message instead of going on with it (LLM_CONTINUATION): whatever such a
model does when asked to go on, nobody reads anything twice."""

import asyncio

import pytest

from client import connect
from model_server import cut, say
from stack import Stack

TOLD = "Once upon a time there was a cat, "
REST = "and it slept."
GO_ON = "Your"  # the first word of what asks it to go on


@pytest.fixture(scope="module")
def asking(model):
    with Stack(model=model, LLM_CONTINUATION="ask") as stack:
        stack.start(router=1, gateway=1, agent=1)
        yield stack


async def ask(stack, question):
    async with connect(stack.url) as client:
        return await client.ask(question)


@pytest.mark.parametrize("continuation", [REST, "there was a cat, " + REST, TOLD + REST], ids=["on", "words", "all"])
def test_asked_in_words(asking, model, continuation):
    model.script("tale", cut([TOLD[:20], TOLD[20:]]))
    model.script(GO_ON, say([continuation[at:at + 3] for at in range(0, len(continuation), 3)]))
    assert asyncio.run(ask(asking, "tale")).check_streamed().text == TOLD + REST
    last = model.requests[-1].messages
    assert last[-2] == {"role": "assistant", "content": TOLD} and last[-1]["role"] == "user"


def test_another_answer_is_refused_and_asked_for_once_more(asking, model):
    model.script("fable", cut([TOLD]))
    model.script(GO_ON, say("Once upon a time there was a dog."), say(REST))
    assert asyncio.run(ask(asking, "fable")).check_streamed().text == TOLD + REST


def test_always_another_answer(asking, model):
    model.script("myth", cut([TOLD]))
    model.script(GO_ON, say("Once upon a time there was a dog."))
    answer = asyncio.run(ask(asking, "myth"))
    assert answer.text == TOLD
    assert "began anew" in answer.final["error"]


def test_an_agent_that_takes_over_asks_in_words_too(asking, model):
    model.script("epic", say([TOLD, REST], delay=30))
    model.script(GO_ON, say("was a cat, " + REST))

    async def scenario():
        async with connect(asking.url) as client:
            await client.ask_only("epic")
            await asyncio.to_thread(model.wait_for, "epic")
            while (await client.receive()).get("content") != TOLD:
                pass
            [agent] = asking.running("agent")
            asking.add("agent")
            agent.kill()
            text = ""
            while (frame := await client.receive(60))["type"] == "stream_chunk":
                text += frame["content"]
            assert frame["type"] == "stream_end" and text == REST
    asyncio.run(scenario())


def test_vllm(model):
    with Stack(model=model, LLM_CONTINUATION="vllm") as stack:
        stack.start(router=1, gateway=1, agent=1)
        model.script("saga", cut([TOLD]), say([TOLD, REST]))
        assert asyncio.run(ask(stack, "saga")).check_streamed().text == TOLD + REST
    first, second = model.asked("saga")
    assert "continue_final_message" not in first.body
    assert second.body["continue_final_message"] is True and second.body["add_generation_prompt"] is False
