"""Two gateways, two routers, three agents, and a broker that may die: what is said on one is heard on the other, and
what has been said is kept.

PARLEY_RACES=1000 for the long form of the races.
"""

import asyncio
import json
import os
import uuid

import pytest
import websockets

from client import connect as connect_agent, eventually
from dialects import OPTIONS, Contact, LangBot, Minimal, YYChat, check_answer, connect, url_of
from model_server import say
from stack import Stack, call as rest, sized

RACES = int(os.environ.get("PARLEY_RACES", "0")) or sized(200, 40)
SESSIONS = 10  # that race at the same time
TURNS_KEPT = 500
NAMES = ["talk", "kill", *(f"race{number}" for number in range(SESSIONS))]
CONFIG = {"pipelines": [{"uuid": name, "name": name, "persona": "plain"} for name in NAMES],
          "personas": [{"id": "plain", "name": "Plain", "system_prompt": "Be plain."}]}


@pytest.fixture(scope="module")
def stack(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "parley.json"
    path.write_text(json.dumps(CONFIG))
    with Stack(model=model, PARLEY_CONFIG=path, CONVERSATION_MAX_TURNS=TURNS_KEPT) as running:
        running.start(router=2, agent=3, tools=1, gateway=2)
        yield running


def ports(stack):
    return [gateway.port for gateway in stack.of("gateway")]


async def get(port, path):
    status, answer = await asyncio.to_thread(rest, port, "GET", path)
    assert status == 200, answer
    return answer


async def post(port, path, body=None):
    status, answer = await asyncio.to_thread(rest, port, "POST", path, body)
    assert status == 200, answer
    return answer


async def history(port, pipeline, session="person"):
    return (await get(port, f"/api/v1/pipelines/{pipeline}/ws/messages/{session}"))["data"]["messages"]


# ---- Rooms on both

def test_a_group_answer_and_a_broadcast_reach_members_on_both(stack, model):
    model.script("ai_count", say([f"{number} " for number in range(50)], delay=0.01))
    first, second = ports(stack)

    async def scenario():
        async with connect(LangBot, first, pipeline="talk", session="group") as asking, \
                connect(LangBot, first, pipeline="talk", session="group") as near, \
                connect(LangBot, second, pipeline="talk", session="group") as far, \
                connect(LangBot, second, pipeline="talk") as person:
            for client in (asking, far):
                before = await history(first, "talk", "group")
                frames = await client.ask("ai_count")
                others = [other for other in (asking, near, far) if other is not client]
                for other in others:
                    seen = await other.collect_final()
                    assert other.text_of(seen) == "".join(f"{number} " for number in range(50))
                    assert (seen[0], seen[-1]) == (frames[0], frames[-1])
                assert frames[0]["data"]["id"] == len(before) + 1
                for port in (first, second):
                    assert (await history(port, "talk", "group"))[-2:] == [frames[0]["data"], frames[-1]["data"]]
            await person.ping()
            for port in (first, second):
                await post(port, "/api/v1/pipelines/talk/ws/broadcast", {"message": {"from": port}})
                for member in (asking, near, far, person):
                    assert (await member.expect("broadcast"))["message"] == {"from": port}
    asyncio.run(scenario())


def test_who_leaves_before_coming_in_leaves_no_answer_behind(stack, model):
    """Until it has come in it is told nothing of what goes on, so nothing is kept for it either."""
    model.script("ai_slow", say(["word "] * 200, delay=0.02))
    first, second = stack.of("gateway")
    routers = stack.of("router")

    async def scenario():
        async with connect(LangBot, first.port, pipeline="talk", session="group") as asking:
            await asking.ask_only("ai_slow")
            assert [(await asking.receive())["type"] for _ in range(2)] == ["user_message", "response"]
            for router in routers:
                router.freeze()
            far = await websockets.connect(url_of(LangBot, second.port, pipeline="talk", session="group"), **OPTIONS)
            had = ""
            while had.count("word") < 50:
                frame = await asking.receive()
                had = frame["data"]["content"] if frame["type"] == "response" else had
            assert not far.messages, "it is still outside"
            await far.close()
            for router in routers:
                router.thaw()
            await asking.collect_final()
            await eventually(lambda: second.metric("parley_connections") == 0, what="it is gone")
            assert second.metric("parley_answers_in_flight") == 0
            await eventually(lambda: second.metric("parley_buffered_bytes") == 0, what="all is let go of")
    try:
        asyncio.run(scenario())
    finally:
        for router in routers:
            router.thaw()


def test_the_owners_broadcast_reaches_contacts_on_both(stack):
    first, second = ports(stack)

    async def scenario():
        async with connect(Contact, first) as near, connect(Contact, second) as far:
            await post(second, "/api/v1/contacts/broadcast", {"message": "hello all"})
            for member in (near, far):
                assert (await member.expect("chat_message"))["message"] == "hello all"
    asyncio.run(scenario())


def test_all_sockets_of_a_user_on_both(stack):
    first, second = ports(stack)

    async def scenario():
        async with connect(Minimal, first, user="both") as near, connect(Minimal, second, user="both") as far:
            for asking, other in ((near, far), (far, near)):
                assert await asking.answer("hello") == "You said: hello"
                assert other.text_of(await other.collect_final()) == "You said: hello"
    asyncio.run(scenario())


def contents(model, question):
    return [message["content"] for message in model.asked(question)[-1].messages if message["role"] != "system"]


def test_a_conversation_goes_on_across_gateways(stack, model):
    first, second = ports(stack)
    name = str(uuid.uuid4())

    async def say_on(kind, port, question, fields, **where):
        async with connect(kind, port, **where) as client:
            frames = await client.ask(question, **fields)
            assert client.text_of(frames) == f"You said: {question}"

    async def scenario():
        for kind, fields, where in ((YYChat, {"conversation_id": name}, {}), (Minimal, {}, {"user": name}),
                                    (LangBot, {}, {"pipeline": "talk"})):
            tag = kind.__name__
            await say_on(kind, first, f"one of {tag}", fields, **where)
            await say_on(kind, second, f"two of {tag}", fields, **where)
            await say_on(kind, first, f"three of {tag}", fields, **where)
            assert contents(model, f"three of {tag}") == [
                f"one of {tag}", f"You said: one of {tag}", f"two of {tag}", f"You said: two of {tag}", f"three of {tag}"]
    asyncio.run(scenario())


def test_statistics_cover_both(stack):
    first, second = ports(stack)

    async def scenario():
        url = "ws://127.0.0.1:{}/ws/agent"
        async with connect_agent(url.format(first)) as one, connect_agent(url.format(second)) as two, \
                connect(YYChat, first) as three, connect(YYChat, second), \
                connect(LangBot, first, pipeline="talk") as five, \
                connect(LangBot, second, pipeline="talk", session="group") as six:
            for port in (first, second):
                shown = await get(port, "/ws/statistics")
                ids = {connection["id"] for connection in shown["connections"]}
                assert shown["active_connections"] == 2
                assert ids == {one.welcome["connection_id"], two.welcome["connection_id"]}
                assert (await get(port, "/ws/status"))["data"]["active_connections"] == 2
                shown = (await get(port, "/api/v1/pipelines/talk/ws/connections"))["data"]
                assert shown["stats"] == {
                    "total_connections": 2, "pipelines": 1, "connections_by_pipeline": {"talk": 2},
                    "connections_by_session_type": {"person": 1, "group": 1}}
                assert {connection["connection_id"] for connection in shown["connections"]} == {
                    five.welcome["connection_id"], six.welcome["connection_id"]}
            await three.send({"type": "get_status"})
            assert (await three.expect("status_response"))["data"]["active_connections"] == 2
    asyncio.run(scenario())


# ---- Races

async def wait_for_answers(client, count):
    """The next answers to end, by their id."""
    answers, ended = {}, {}
    while len(ended) < count:
        frame = await client.receive(60)
        assert frame["type"] in ("user_message", "response"), frame
        if frame["type"] == "response":
            answers.setdefault(frame["data"]["id"], []).append(frame["data"])
        if client.is_end(frame):
            ended[frame["data"]["id"]] = check_answer(answers[frame["data"]["id"]])
    return ended


def check_history(messages, rounds):
    """Both turns of every race, whole and in one order."""
    assert [message["id"] for message in messages] == sorted(message["id"] for message in messages)
    assert {message["id"] for message in messages} == set(range(1, 4 * rounds + 1))
    asked = [message["content"] for message in messages if message["role"] == "user"]
    answered = [message["content"] for message in messages if message["role"] == "assistant"]
    expected = [f"{number} from {side}" for number in range(rounds) for side in range(2)]
    assert sorted(asked) == sorted(expected)
    assert sorted(answered) == sorted(f"You said: {question}" for question in expected)
    places = {question: place for place, question in enumerate(asked)}
    for number in range(rounds - 1):  # each race was over before the next began
        assert max(places[f"{number} from {side}"] for side in range(2)) < min(
            places[f"{number + 1} from {side}"] for side in range(2))


async def race(stack, pipeline, rounds):
    first, second = ports(stack)
    for port in (first, second):
        await post(port, f"/api/v1/pipelines/{pipeline}/ws/reset/person")
    async with connect(LangBot, first, pipeline=pipeline) as one, connect(LangBot, second, pipeline=pipeline) as two:
        for number in range(rounds):
            await asyncio.gather(*(client.ask_only(f"{number} from {side}") for side, client in enumerate((one, two))))
            seen, seen_there = await asyncio.gather(*(wait_for_answers(client, 2) for client in (one, two)))
            assert seen == seen_there
            assert sorted(seen.values()) == [f"You said: {number} from {side}" for side in range(2)]
    shown = await history(first, pipeline)
    assert shown == await history(second, pipeline)
    check_history(shown, rounds)


def test_two_questions_race_in_one_conversation(stack):
    rounds = RACES // SESSIONS

    async def scenario():
        await asyncio.gather(*(race(stack, f"race{number}", rounds) for number in range(SESSIONS)))
    asyncio.run(scenario())
    assert stack.metric("router", "parley_conversation_conflicts_total") > 0, "there was no race"


def test_races_of_clients_that_name_a_conversation(stack, model):
    """YYChat has no list of what was said, but what the model is sent is that."""
    rounds = RACES // 10
    first, second = ports(stack)
    name = str(uuid.uuid4())

    async def scenario():
        async with connect(YYChat, first) as one, connect(YYChat, second) as two:
            for number in range(rounds):
                answers = await asyncio.gather(*(client.answer(f"{number} of {side}", conversation_id=name)
                                                 for side, client in enumerate((one, two))))
                assert answers == [f"You said: {number} of {side}" for side in range(2)]
            await one.answer(f"what was said? {name}", conversation_id=name)
    asyncio.run(scenario())
    said = contents(model, f"what was said? {name}")
    questions, answers = said[:-1:2], said[1::2]
    assert answers == [f"You said: {question}" for question in questions]
    assert sorted(questions) == sorted(f"{number} of {side}" for number in range(rounds) for side in range(2))


# ---- Death

async def chatter(port, session, sent, done):
    """Asks until its gateway is gone. `done`: the id of every answer that it saw whole, with the text."""
    try:
        async with connect(LangBot, port, pipeline="kill", session=session) as client:
            frames = {}
            while True:
                question = f"ai {uuid.uuid4()}"
                sent.append(question)
                await client.ask_only(question)
                while True:
                    frame = await client.receive()
                    if frame["type"] == "error":
                        return  # the broker has died before the gateway
                    if frame["type"] != "response":
                        continue
                    data = frame["data"]
                    frames.setdefault(data["id"], []).append(data)
                    if data["is_final"]:
                        done[data["id"]] = check_answer(frames[data["id"]])
                        if done[data["id"]] == f"You said: {question}":
                            break
    except (ConnectionError, websockets.ConnectionClosed):
        pass


async def leave_requests(port, stored):
    try:
        async with connect(Contact, port) as client:
            while True:
                text = f"request {uuid.uuid4()}"
                await client.send({"type": "contact_request", "message": text})
                answer = await client.receive()
                if answer["type"] == "error":
                    return
                stored[answer["request_id"]] = text
    except (ConnectionError, websockets.ConnectionClosed):
        pass


async def all_requests(port):
    found, query = {}, ""
    while query is not None:
        page = await get(port, f"/api/v1/contacts?limit=100{query}")
        found.update((contact["request_id"], contact["message"]) for contact in page["contacts"])
        query = f"&before={page['next']}" if page["next"] else None
    return found


def kill_everything(stack):
    for process in [*stack.running(), stack.broker]:
        process.kill()
    stack.broker.start()
    for process in stack.services:
        process.start()
    for process in stack.services:
        process.wait_ready()


def test_kill_9_of_everything_loses_nothing_that_was_completed(stack, model):
    """While they talk. Last: everything starts anew."""
    first, second = ports(stack)
    name = str(uuid.uuid4())
    done, stored, sent = {"person": {}, "group": {}}, {}, []

    async def before():
        async with connect(YYChat, first) as client:
            await client.answer("I am Ada", conversation_id=name)
        async with connect(Minimal, second, user=name) as client:
            await client.answer("I am Ada")
        # Few turns are kept of a session, so it must not be talked to for long.
        busy = [asyncio.ensure_future(task) for task in (
            chatter(first, "person", sent, done["person"]), chatter(second, "person", sent, done["person"]),
            chatter(first, "group", sent, done["group"]), chatter(second, "group", sent, done["group"]),
            leave_requests(first, stored), leave_requests(second, stored))]
        await eventually(lambda: min(map(len, done.values())) > 20 and len(stored) > 20 or any(
            task.done() for task in busy), what="they talk")
        assert not any(task.done() for task in busy)
        await asyncio.to_thread(kill_everything, stack)
        await asyncio.gather(*busy)
    asyncio.run(before())

    async def after():
        for port in (first, second):
            for session, answers in done.items():
                shown = await history(port, "kill", session)
                assert {message["id"] for message in shown} >= set(answers)
                assert len(shown) < 2 * TURNS_KEPT
                for message in shown:
                    if message["id"] in answers:
                        assert message["content"] == answers[message["id"]] and message["role"] == "assistant"
                asked = [message["content"] for message in shown if message["role"] == "user"]
                assert len(set(asked)) == len(asked) and set(asked) <= set(sent)
                assert {text.replace("You said: ", "") for text in answers.values()} <= set(asked)
            assert (await all_requests(port)).items() >= stored.items()
        async with connect(YYChat, second) as client:
            await client.answer(f"who was I? {name}", conversation_id=name)
            assert contents(model, f"who was I? {name}")[:2] == ["I am Ada", "You said: I am Ada"]
        async with connect(Minimal, first, user=name) as client:
            await client.answer(f"and here? {name}")
            assert contents(model, f"and here? {name}")[:2] == ["I am Ada", "You said: I am Ada"]
        async with connect(LangBot, first, pipeline="kill") as one, connect(LangBot, second, pipeline="kill") as two:
            assert one.text_of(await one.ask("ai, again")) == "You said: ai, again"
            assert two.text_of(await two.collect_final()) == "You said: ai, again"
    asyncio.run(after())
