"""What a conversation holds: whole turns in one order, whoever races, and whatever dies."""

import asyncio
import base64
import json
import uuid

import pytest

import messages
from bus import PIPELINE, STATES, Bus, FakeGateway, key_of
from client import eventually, run_with
from model_server import say
from nats_proxy import NatsProxy
from process import wait_until
from stack import Stack, sized

CONVERSATIONS = 20
ROUNDS = sized(1000, 100) // CONVERSATIONS

CONFIG = {
    "pipelines": [
        {"uuid": PIPELINE, "name": "Default", "persona": "plain", "group": {"trigger": "hey", "mention": "bot"}},
        {"uuid": "other", "name": "Other", "model": "other-model", "persona": "terse", "tools": []}],
    "personas": [
        {"id": "plain", "name": "Plain", "system_prompt": "Be plain."},
        {"id": "terse", "name": "Terse", "system_prompt": "Be terse.", "options": {"temperature": 0.125}}],
    "contact": {"apology": "Not today."},
}


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "parley.json"
    path.write_text(json.dumps(CONFIG, indent=1))
    return path


@pytest.fixture(scope="module")
def stack(model, config):
    with Stack(model=model, PARLEY_CONFIG=config) as running:
        running.start(router=2, agent=2)
        yield running


def run(stack, scenario):
    run_with(Bus(stack.broker.port), scenario)


def questions(conversation):
    return [turn.question.decode() for turn in conversation.turns]


def unique(name):
    return f"{name}\0{uuid.uuid4()}"


# ---- Races

async def race(bus, counted):
    """Two gateways, two questions at a time, in each of many conversations at once. Returns one history for each."""
    gateways = [FakeGateway(bus), FakeGateway(bus)]

    async def one(name):
        room = {"room": name, "counted": True} if counted else {}
        if counted:
            for gateway in gateways:
                gateway.join(name)
        seen = []
        for number in range(ROUNDS):
            turns = [gateway.ask(f"{number}-{side}", name, **room) for side, gateway in enumerate(gateways)]
            for turn in turns:
                await turn.end()
                assert "completed" in turn.kinds, turn.events[-1]
                assert turn.text == f"You said: {turn.question}"
            now = questions(await bus.history(name))
            assert now[:len(seen)] == seen, "what was there has moved"
            assert sorted(now[len(seen):]) == [f"{number}-0", f"{number}-1"]
            seen = now
        return await bus.history(name)
    return await asyncio.gather(*(one(unique("race")) for _ in range(CONVERSATIONS)))


def test_two_questions_race_in_one_conversation(stack, model):
    async def scenario(bus):
        for conversation in await race(bus, counted=False):
            assert len(conversation.turns) == 2 * ROUNDS
            for turn in conversation.turns:
                assert turn.state == STATES.Value("TURN_STATE_COMPLETED")
                assert turn.answer.decode() == f"You said: {turn.question.decode()}"
    run(stack, scenario)


def test_two_questions_race_in_a_room_that_counts(stack, model):
    async def scenario(bus):
        for conversation in await race(bus, counted=True):
            assert len(conversation.turns) == 2 * ROUNDS
            ids = [number for turn in conversation.turns for number in (turn.question_id, turn.answer_id)]
            assert ids == list(range(1, 4 * ROUNDS + 1)), "each number once, in order"
            assert conversation.message_ids == 4 * ROUNDS
            for turn in conversation.turns:
                assert turn.state == STATES.Value("TURN_STATE_COMPLETED")
                assert turn.answer.decode() == f"You said: {turn.question.decode()}"
                assert turn.asked_ms <= turn.started_ms <= turn.ended_ms
    run(stack, scenario)
    assert stack.metric("router", "parley_conversation_conflicts_total") > 0, "there was no race"


def test_all_at_once_in_one_conversation(stack, model):
    """As many as a room can hold, from two gateways, without waiting for any."""
    count = sized(100, 40)

    async def scenario(bus):
        gateways = [FakeGateway(bus), FakeGateway(bus)]
        name = unique("crowd")
        gateways[0].join(name)
        turns = [gateways[number % 2].ask(f"q{number}", name, room=name, counted=True, no_answer=True)
                 for number in range(count)]
        for turn in turns:
            await turn.until("noted", "failed")
            assert "noted" in turn.kinds, turn.events[-1]
        conversation = await bus.history(name)
        assert sorted(questions(conversation)) == sorted(turn.question for turn in turns)
        assert [turn.question_id for turn in conversation.turns] == list(range(1, count + 1))
        shown = [event.room_message for event in gateways[0].heard if event.WhichOneof("kind") == "room_message"]
        assert {message.message_id: message.text.decode() for message in shown} == {
            turn.question_id: turn.question.decode() for turn in conversation.turns}
    run(stack, scenario)


# ---- Rooms

def test_a_room_sees_question_and_answer(stack, model):
    chain = json.dumps([{"type": "Plain", "text": "ai hello"}]).encode()

    async def scenario(bus):
        asking, other = FakeGateway(bus), FakeGateway(bus)
        name = unique("room")
        asking.join(name)
        other.join(name)
        turn = asking.ask("ai hello", name, room=name, counted=True, chain=chain)
        await turn.end()
        await eventually(lambda: "accepted" in turn.kinds, what="the router's word, which the agent's may overtake")
        for gateway in (asking, other):
            await eventually(lambda: {"room_message", "completed"} <= {
                event.WhichOneof("kind") for event in gateway.heard}, what="question and end")
        for gateway in (asking, other):
            events = {event.WhichOneof("kind"): event for event in gateway.heard}
            assert events["room_message"].room_message.message_id == 1
            assert events["room_message"].room_message.chain == chain
            assert events["started"].started.message_id == 2 and events["started"].started.started_ms > 0
            assert events["completed"].connection == turn.connection
        assert "accepted" not in [event.WhichOneof("kind") for event in other.heard]
        assert sum(event.WhichOneof("kind") == "completed" for event in asking.heard) == 1
    run(stack, scenario)


def test_what_wants_no_answer_is_context_for_the_next(stack, model):
    async def scenario(bus):
        gateway = FakeGateway(bus)
        name = unique("group")
        await gateway.ask("my name is Ada", name, room=name, counted=True, no_answer=True).end()
        gateway.join(name)
        turn = await gateway.ask("context? ", name, room=name, counted=True).end()
        assert "completed" in turn.kinds
        contents = [message["content"] for message in model.asked("context? ")[0].messages]
        assert contents == ["Be plain.", "my name is Ada", "context? "]
    run(stack, scenario)


def test_images_of_the_question_reach_the_model(stack, model):
    chain = json.dumps([{"type": "Plain", "text": "what is "}, {"type": "Image", "url": "https://example.org/a.png"},
                        {"type": "Image", "base64": "/9j/AAAA"}]).encode()

    async def scenario(bus):
        gateway = FakeGateway(bus)
        name = unique("images")
        gateway.join(name)
        turn = await gateway.ask("what is [Image][Image]", name, room=name, counted=True, chain=chain).end()
        assert "completed" in turn.kinds
        parts = model.asked("what is [Image][Image]")[0].messages[-1]["content"]
        assert [part["type"] for part in parts] == ["text", "image_url", "image_url"]
        assert parts[1]["image_url"]["url"] == "https://example.org/a.png"
        assert parts[2]["image_url"]["url"] == "data:image/jpeg;base64,/9j/AAAA"
    run(stack, scenario)


def test_a_question_is_asked_once_however_often_it_comes(stack, model):
    async def scenario(bus):
        gateway = FakeGateway(bus)
        name, turn_id = unique("twice"), str(uuid.uuid4())
        gateway.join(name)
        first = gateway.ask("only once", name, room=name, counted=True, turn=turn_id)
        await first.end()
        again = gateway.ask("only once", name, room=name, counted=True, turn=turn_id)
        await again.until("accepted")
        assert len((await bus.history(name)).turns) == 1
        assert len(model.asked("only once")) == 1
        assert "room_message" not in again.kinds
    run(stack, scenario)


def test_reset_forgets_and_counts_anew(stack, model):
    model.script("slow", say(["slow ", "answer"], delay=0.5))

    async def scenario(bus):
        gateway = FakeGateway(bus)
        name = unique("reset")
        gateway.join(name)
        await gateway.ask("before", name, room=name, counted=True).end()
        slow = gateway.ask("slow", name, room=name, counted=True)
        await slow.until("started")
        done = await bus.command("reset", messages.Reset(conversation=name.encode(), pipeline=PIPELINE), messages.Done)
        assert not done.failure and not done.no_pipeline
        assert (await slow.end()).text == "slow answer"
        assert not (await bus.history(name)).turns, "an answer from before came back"
        await gateway.ask("after", name, room=name, counted=True).end()
        conversation = await bus.history(name)
        assert questions(conversation) == ["after"]
        assert (conversation.turns[0].question_id, conversation.turns[0].answer_id) == (1, 2)
    run(stack, scenario)


def test_broadcast(stack, model):
    async def scenario(bus):
        gateway = FakeGateway(bus)
        rooms = [unique("a"), unique("b")]
        for room in rooms:
            gateway.join(room)
        await bus.history("nothing")  # the subscriptions stand
        command = messages.SendBroadcast(rooms=[key_of(room) for room in rooms], message=b'{"x":1}', pipeline=PIPELINE)
        done = await bus.command("broadcast", command, messages.Done)
        assert not done.failure and not done.no_pipeline
        await eventually(lambda: len(gateway.heard) == 2, what="both rooms hear it")
        assert all(event.broadcast.message == b'{"x":1}' and event.broadcast.sent_ms for event in gateway.heard)
        command.rooms.append("no/room")
        assert (await bus.command("broadcast", command, messages.Done)).failure
        await bus.history("nothing")
        assert len(gateway.heard) == 2
    run(stack, scenario)


def test_a_question_whose_keeping_was_not_confirmed_waits_for_no_answer(model):
    """The store has taken it, but the router never hears of that, so to the asker it has failed."""
    async def scenario(stack, proxy):
        async with Bus(stack.broker.port) as bus:
            gateway = FakeGateway(bus)
            name = unique("unconfirmed")
            proxy.hold("$KV.parley_conversations.")
            gateway.ask("kept?", name, room=name, counted=True)
            await eventually(lambda: proxy.held, what="it is about to be kept")
            proxy.lose_answers()
            states = []
            while states != [STATES.Value("TURN_STATE_FAILED")]:
                states = [turn.state for turn in await history_of(bus, name)]
                assert len(states) <= 1
                await asyncio.sleep(0.02)

    async def history_of(bus, name):
        """From the store itself, as the router is away for a while."""
        asked = {"last_by_subj": f"$KV.parley_conversations.{key_of(name)}"}
        got = json.loads(await bus.request("$JS.API.STREAM.MSG.GET.KV_parley_conversations", json.dumps(asked).encode()))
        held = base64.b64decode(got["message"]["data"]) if "message" in got else b""
        return messages.Conversation.FromString(held).turns

    with Stack(model=model) as stack, NatsProxy(stack.broker.port) as proxy:
        stack.add("router", NATS_URL=proxy.url)
        asyncio.run(asyncio.wait_for(scenario(stack, proxy), 30))


# ---- Configuration

def test_pipelines_and_personas(stack, model):
    async def scenario(bus):
        gateway = FakeGateway(bus)
        turn = await gateway.ask("terse?", unique("c"), pipeline="other").end()
        assert "completed" in turn.kinds
        body = model.asked("terse?")[0].body
        assert body["model"] == "other-model" and body["temperature"] == 0.125 and "tools" not in body
        assert body["messages"][0]["content"] == "Be terse."
        turn = await gateway.ask("x", unique("c"), persona="rude").end()
        assert turn.of("failed")[0].reason == b"Unknown personality: rude"
        turn = await gateway.ask("x", unique("c"), pipeline="none").end()
        assert turn.of("failed")[0].reason == b"Pipeline not found"
        turn = await gateway.ask("hello", unique("c"), from_contact=True).end()
        assert turn.of("accepted")[0].apology == b"Not today."

        found = await bus.command("find_pipeline", messages.FindPipeline(pipeline=PIPELINE), messages.Done)
        assert (found.no_pipeline, found.group_trigger, found.group_mention) == (False, b"hey", b"bot")
        assert (await bus.command("find_pipeline", messages.FindPipeline(pipeline="none"), messages.Done)).no_pipeline
        for kind, command, answer in (
                ("history", messages.History(conversation=b"x", pipeline="none"), messages.HistoryReply),
                ("reset", messages.Reset(conversation=b"x", pipeline="none"), messages.Done),
                ("broadcast", messages.SendBroadcast(message=b"1", pipeline="none"), messages.Done)):
            assert (await bus.command(kind, command, answer)).no_pipeline
    run(stack, scenario)


def reload(stack, says):
    for router in stack.of("router"):
        before = len(router.log_lines())
        router.popen.send_signal(1)  # SIGHUP
        wait_until(lambda: any(line["message"].startswith(says) for line in router.log_lines()[before:]), what=says)


def test_sighup_reads_again_and_keeps_the_old_one_where_the_new_is_bad(stack, model, config):
    async def found(bus, pipeline):
        done = await bus.command("find_pipeline", messages.FindPipeline(pipeline=pipeline), messages.Done)
        return not done.no_pipeline

    async def scenario(bus):
        changed = dict(CONFIG, pipelines=CONFIG["pipelines"] + [{"uuid": "third", "name": "Third"}])
        assert not await found(bus, "third")
        config.write_text(json.dumps(changed, indent=1))
        await asyncio.to_thread(reload, stack, "configuration read again")
        assert await found(bus, "third")
        config.write_text(json.dumps(dict(changed, pipelines=[{"uuid": "x"}]), indent=1))
        await asyncio.to_thread(reload, stack, "the configuration stays as it was")
        assert "pipelines[0].name: is missing, line 3" in stack.of("router")[0].log()
        assert await found(bus, "third") and not await found(bus, "x")
        config.write_text(json.dumps(CONFIG, indent=1))
        await asyncio.to_thread(reload, stack, "configuration read again")
    run(stack, scenario)


def test_a_bad_configuration_at_start_is_told(stack, tmp_path):
    path = tmp_path / "bad.json"
    path.write_text('{\n "pipelines": [\n  {"uuid": "a b", "name": "A"}]}')
    router = stack.add("router", ready=False, PARLEY_CONFIG=path)
    assert router.wait(15) == 2
    router.killed = True
    stack.services.remove(router)
    assert f"PARLEY_CONFIG: {path}: pipelines[0].uuid: must be" in router.log() and "line 3" in router.log()


def test_bad_options_of_a_persona_are_told(stack, tmp_path):
    path = tmp_path / "options.json"
    persona = {**CONFIG["personas"][1], "options": {"temperature": "hot"}}
    path.write_text(json.dumps({**CONFIG, "personas": [CONFIG["personas"][0], persona]}, indent=1))
    router = stack.add("router", ready=False, PARLEY_CONFIG=path)
    assert router.wait(15) == 2
    router.killed = True
    stack.services.remove(router)
    line = 1 + path.read_text()[:path.read_text().index('"temperature"')].count("\n")
    assert f"{path}: personas[1].options.temperature: must be a number, line {line}" in router.log()


# ---- Death

def test_kill_9_of_everything_loses_no_turn(stack, model):
    """Last: everything starts anew."""
    name, room = unique("kept"), unique("kept room")

    async def before(bus):
        gateway = FakeGateway(bus)
        gateway.join(room)
        for number in range(5):
            await gateway.ask(f"kept {number}", name).end()
            await gateway.ask(f"kept {number}", room, room=room, counted=True).end()
    run(stack, before)
    for process in [*stack.running(), stack.broker]:
        process.kill()
    stack.broker.start()
    for process in stack.services:
        stack.restart(process)

    async def after(bus):
        gateway = FakeGateway(bus)
        for conversation in (name, room):
            held = await bus.history(conversation)
            assert questions(held) == [f"kept {number}" for number in range(5)]
            assert [turn.answer.decode() for turn in held.turns] == [f"You said: kept {number}" for number in range(5)]
        turn = await gateway.ask("remember?", name).end()
        assert turn.text == "You said: remember?"
        contents = [message["content"] for message in model.asked("remember?")[0].messages]
        assert contents[1:4] == ["kept 0", "You said: kept 0", "kept 1"]
    run(stack, after)
