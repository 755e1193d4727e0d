"""Section 3 of the protocols: in a group the bot answers what is meant for it, by the protocol's own rule or by the
configured one of its pipeline. All else is shown to the group, and remembered."""

import asyncio
import json

import pytest
import websockets

from dialects import OPTIONS, LangBot, connect, url_of
from langbot import PERSONAS, ok, pipeline, run, stack
from process import wait_until
from stack import Stack

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


def test_who_asks_with_the_extension_is_told_that_there_is_no_answer(stack, pipeline):
    """And nobody else is."""
    async def scenario(client):
        async with websockets.connect(url_of(LangBot, stack.gateway.port, pipeline=pipeline, session="group", parley=1),
                                      **OPTIONS) as extended:
            assert (await receive(extended))["type"] == "connected"
            for _ in range(2):  # it counts as no question that waits any more
                await extended.send(json.dumps({"message": LangBot.chain("hello")}))
                both = [await receive(extended) for _ in range(2)]  # in whichever order
                assert sorted(frame["type"] for frame in both) == ["noted", "user_message"]
                assert {"type": "noted"} in both
                await client.expect("user_message")
            await client.ask_only("hello")
            await client.expect("user_message")
            await client.ping()
            assert (await receive(extended))["type"] == "user_message"
            await extended.send('{"type":"ping"}')
            assert (await receive(extended))["type"] == "pong"
    run(stack, scenario, pipeline=pipeline, session="group")


async def receive(socket):
    return json.loads(await asyncio.wait_for(socket.recv(), 30))


# ---- Configured rules

def at(target, text):
    return [{"type": "At", "target": target}, *LangBot.chain(text)]


plain = LangBot.chain
# Of each pipeline: its rule, what is meant for the bot by it, and what is not.
RULES = {
    "none": (None, [plain("ai?"), at("websocketbot", " hi")], [plain("hi ai"), plain("AI?"), at("helper", " hi")]),
    "empty": ({}, [plain("ai?"), at("websocketbot", " hi")], [plain("hi"), at("helper", " hi")]),
    "both": ({"trigger": "hey bot", "mention": "helper"},
             [plain("hey bot, hi"), plain("hey bot"), [*plain("hi "), *at("helper", "")], at("helper", " hi")],
             [plain("ai?"), plain("hey bo"), plain(" hey bot"), plain("Hey bot"), at("websocketbot", " hi"),
              at("Helper", " hi"), [{"type": "AtAll"}, *plain("hey bot")]]),
    "trigger": ({"trigger": "小助手"}, [plain("小助手，你好"), at("websocketbot", " 你好")],
                [plain("小助"), plain("ai?"), plain("你好小助手")]),
    "mention": ({"mention": "小助手"}, [plain("ai?"), at("小助手", " 你好")], [at("websocketbot", " 你好"), plain("小助手")]),
}


def configuration(rules):
    return json.dumps({"personas": PERSONAS, "pipelines": [
        {"uuid": name, "name": name, "persona": "plain", **({} if rule is None else {"group": rule})}
        for name, rule in rules.items()]})


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("rules") / "parley.json"
    path.write_text(configuration({name: rule for name, (rule, _, _) in RULES.items()}))
    return path


@pytest.fixture(scope="module")
def ruled(model, config):
    with Stack(model=model, PARLEY_CONFIG=config) as running:
        running.start(router=1, agent=1, gateway=2)
        yield running


async def show(asker, members, chain):
    """Says something that is not for the bot. That nothing follows it is seen by what comes next."""
    await asker.ask_only(chain)
    shown = [(await one.expect("user_message"))["data"] for one in members]
    assert all(data == shown[0] and data["message_chain"] == chain for data in shown)


async def answer(asker, members, chain):
    await asker.ask_only(chain)
    for one in members:
        frames = await one.collect_final()
        assert frames[0]["data"]["message_chain"] == chain
        assert one.text_of(frames) == f"You said: {frames[0]['data']['content']}"


@pytest.mark.parametrize("name", RULES)
def test_a_configured_rule(ruled, model, name):
    _, meant, others = RULES[name]

    async def scenario(here):
        before = len(model.requests)
        elsewhere = ruled.of("gateway")[1]
        async with connect(LangBot, elsewhere.port, pipeline=name, session="group") as there:
            members = [here, there]
            for chain in others:
                await show(members[0], members, chain)
            for chain in meant:
                await answer(members[1], members, chain)
            await show(members[1], members, others[0])
            history = (await ok(ruled, name, "GET", "messages/group"))["messages"]
        assert len(model.requests) == before + len(meant)
        assert [message["message_chain"] for message in history if message["role"] == "user"] == [
            *others, *meant, others[0]]
        assert [message["id"] for message in history] == list(range(1, len(others) + 2 * len(meant) + 2))
    run(ruled, scenario, pipeline=name, session="group")


def test_a_person_is_always_answered(ruled):
    async def scenario(client):
        for chain in (plain("hi"), at("somebody", " hi"), plain("hey bot")):
            assert client.text_of(await client.ask(chain)).startswith("You said: ")
    run(ruled, scenario, pipeline="both")


def test_a_rule_that_is_read_again_counts_for_those_who_come_after(ruled, config):
    """Who is there already keeps the rule that it came with."""
    async def scenario(before):
        config.write_text(configuration({"none": {"trigger": "ho"}}))
        [router] = ruled.of("router")
        router.popen.send_signal(1)  # SIGHUP
        await asyncio.to_thread(wait_until, lambda: router.logged("configuration read again"), what="read again")
        async with connect(LangBot, ruled.gateway.port, pipeline="none", session="group") as after:
            await show(after, [before, after], plain("ai, hi"))
            await answer(after, [before, after], plain("ho, hi"))
            await show(before, [before, after], plain("ho, hi"))
            await answer(before, [before, after], plain("ai, hi"))
    run(ruled, scenario, pipeline="none", session="group")
