"""Section 2 of the protocols, row by row: the contact form's documented client, its owner, and his webhook."""

import asyncio
import hashlib
import http.client
import json
import time

import pytest

from client import eventually, run_with
from dialects import Contact, connect, count, iso, matches, number, one_of, uuid4
from model_server import call, refuse, report_results, say
from nats_proxy import NatsProxy
from stack import Stack, call as rest

APOLOGY = "抱歉，我暂时无法处理您的请求，请稍后再试。"
OWN_APOLOGY = "The owner is asleep."
NO_JSON = "消息格式错误，必须是有效的JSON"
FAILED = "处理消息时出错: "


@pytest.fixture(scope="module")
def stack(model, webhook, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "parley.json"
    path.write_text(json.dumps({"pipelines": [{"uuid": "a", "name": "A"}], "contact": {"webhook": webhook.url}}))
    with Stack(model=model, PARLEY_CONFIG=path) as running:
        running.start(router=1, agent=1, tools=1, gateway=1)
        yield running


def run(stack, scenario, **where):
    run_with(connect(Contact, stack.gateway.port, **where), scenario)


async def send_request(client, message="Please call me", **fields):
    await client.send({"type": "contact_request", "message": message, **fields})
    return (await client.expect("contact_request_received"))["request_id"]


def listed(stack, query=""):
    status, answer = rest(stack.gateway.port, "GET", f"/api/v1/contacts{query}")
    assert status == 200, answer
    optional = one_of(str, lambda value: value is None)
    assert matches(answer, {"next": one_of(count, lambda value: value is None), "contacts": [{
        "number": count, "request_id": uuid4, "client_id": uuid4, "received_at": iso, "message": str,
        "timestamp": optional, "userAgent": optional}]}), answer
    return answer


# ---- The documented session

def test_the_documented_session(stack, model, webhook):
    model.script("在吗", say(["在", "的。"], delay=0.02))

    async def scenario(client):
        await client.send({"type": "ping"})
        await client.expect("pong")
        now = "2025-01-01T12:00:00.000Z"
        assert await client.answer("在吗", timestamp=now) == "在的。"
        request = await send_request(client, "请联系我", timestamp=now, userAgent="Mozilla/5.0")
        await eventually(lambda: webhook.of(request), what="posted")
        body = webhook.of(request)[0].body
        assert (body["message"], body["timestamp"], body["userAgent"]) == ("请联系我", now, "Mozilla/5.0")
        assert body["connection_id"] == client.welcome["client_id"]
        newest = (await asyncio.to_thread(listed, stack))["contacts"][0]
        assert newest["request_id"] == request and newest["client_id"] == client.welcome["client_id"]
        assert (newest["message"], newest["timestamp"], newest["userAgent"]) == ("请联系我", now, "Mozilla/5.0")
    run(stack, scenario)


def test_the_other_fields_may_be_left_out(stack):
    async def scenario(client):
        request = await send_request(client)
        newest = (await asyncio.to_thread(listed, stack))["contacts"][0]
        assert newest["request_id"] == request and newest["timestamp"] is newest["userAgent"] is None
        assert await client.answer("hello") == "You said: hello"
        assert await client.answer("hello", timestamp=None, more=[{}]) == "You said: hello"
        await send_request(client, timestamp=None, userAgent=None)
    run(stack, scenario)


def test_the_answer_is_one_frame_with_the_exact_text(stack, model):
    text = "emoji 🙂 CJK 会话 escapes \\ \" \n\t\x01 nul \0 end"
    model.script("long", say(["word "] * 5000))

    async def scenario(client):
        assert await client.answer(text) == f"You said: {text}"
        assert await client.answer("long") == "word " * 5000
        request = await send_request(client, text)
        newest = (await asyncio.to_thread(listed, stack))["contacts"][0]
        assert newest["request_id"] == request and newest["message"] == text
    run(stack, scenario)


def test_both_sides_messages_are_kept(stack, model):
    async def scenario(client):
        await client.answer("I am Ada")
        await client.answer("who?")
        async with connect(Contact, stack.gateway.port) as other:
            await other.answer("and I?")
    run(stack, scenario)

    def contents(question):
        return [message["content"] for message in model.asked(question)[-1].messages if message["role"] != "system"]
    assert contents("who?") == ["I am Ada", "You said: I am Ada", "who?"]
    assert contents("and I?") == ["and I?"]


def test_tools_are_used_without_a_word(stack, model):
    model.script("sum", call(("calculator", {"expression": "123 + 456"}), text="One moment. "), report_results())

    async def scenario(client):
        answer = await client.answer("sum")
        assert answer.startswith("One moment. ") and "579" in answer
    run(stack, scenario)


def test_a_failing_model_is_an_apology(stack, model):
    model.script("fails", refuse(500, "out of order"))

    async def scenario(client):
        assert await client.answer("fails") == APOLOGY
        assert await client.answer("and on") == "You said: and on"
    run(stack, scenario)


def test_the_apology_is_a_setting(stack, model):
    model.script("fails", refuse(500, "out of order"))
    gateway = stack.add("gateway", CONTACT_APOLOGY=OWN_APOLOGY)

    async def scenario():
        async with connect(Contact, gateway.port) as client:
            assert await client.answer("fails") == OWN_APOLOGY
    asyncio.run(scenario())
    stack.remove(gateway)


def test_the_configuration_has_a_persona_and_an_apology_for_contacts(model, tmp_path):
    model.script("whom am I asking?", say("A warden."))
    model.script("fails here", refuse(500, "out of order"))
    path = tmp_path / "parley.json"
    path.write_text(json.dumps({
        "pipelines": [{"uuid": "a", "name": "A"}], "contact": {"persona": "warden", "apology": OWN_APOLOGY},
        "personas": [{"id": "warden", "name": "Warden", "system_prompt": "Guard the owner."}]}))

    async def scenario():
        async with connect(Contact, stack.gateway.port) as client:
            assert await client.answer("whom am I asking?") == "A warden."
            assert model.asked("whom am I asking?")[0].body["messages"][0]["content"] == "Guard the owner."
            assert await client.answer("fails here") == OWN_APOLOGY
            proxy.hold("parley.conn.")
            assert await client.answer("fails here") == OWN_APOLOGY  # sooner than the router's word for it
            await eventually(lambda: proxy.held, what="the router's word")
            proxy.release()
    with Stack(model=model, PARLEY_CONFIG=path) as stack, NatsProxy(stack.broker.port) as proxy:
        stack.start(agent=1)
        stack.add("router", NATS_URL=proxy.url)
        stack.start(gateway=1)
        asyncio.run(scenario())


def test_answers_come_in_the_order_asked_and_pings_at_once(stack, model):
    model.script("slow", say(["slow ", "answer"], delay=0.3))

    async def scenario(client):
        for place in range(3):
            await client.ask_only(f"slow {place}" if place < 2 else "quick")
        await client.send({"type": "ping"})
        frames = [await client.receive() for _ in range(4)]
        assert [frame["type"] for frame in frames] == ["chat_message_received"] * 3 + ["pong"]
        answers = [(await client.expect("chat_message"))["message"] for _ in range(3)]
        assert answers == ["slow answer", "slow answer", "You said: quick"]
        assert len({frame["message_id"] for frame in frames[:3]}) == 3
    run(stack, scenario)


@pytest.mark.parametrize("path", ["/blog/contact", "/a/b/c/contact"])
def test_under_a_path_prefix(stack, path):
    async def scenario(client):
        assert await client.answer("hello") == "You said: hello"
    run(stack, scenario, path=path)


# ---- What is wrong

WRONG = [
    ("", NO_JSON), ("{", NO_JSON), ("hello", NO_JSON), ('{"type":"ping"} {}', NO_JSON), ("[]", NO_JSON), ("null", NO_JSON),
    ('"ping"', NO_JSON),
    ({}, "未知的消息类型: None"), ({"type": None}, "未知的消息类型: None"), ({"type": 5}, "未知的消息类型: None"),
    ({"type": "nonsense"}, "未知的消息类型: nonsense"), ({"type": "会话"}, "未知的消息类型: 会话"),
    ({"type": "cancel"}, "未知的消息类型: cancel"),  # only with ?parley=1
    ({"type": "chat_message"}, FAILED), ({"type": "chat_message", "message": ""}, FAILED),
    ({"type": "chat_message", "message": " \t\n\u3000"}, FAILED), ({"type": "chat_message", "message": 5}, FAILED),
    ({"type": "chat_message", "message": "x", "timestamp": 5}, FAILED),
    ({"type": "contact_request"}, FAILED), ({"type": "contact_request", "message": ""}, FAILED),
    ({"type": "contact_request", "message": ["x"]}, FAILED),
    ({"type": "contact_request", "message": "x", "timestamp": {}}, FAILED),
    ({"type": "contact_request", "message": "x", "userAgent": 5}, FAILED),
]


@pytest.mark.parametrize("frame, says", WRONG, ids=lambda value: str(value)[:60])
def test_what_is_wrong_is_an_error_and_the_connection_stays(stack, frame, says):
    async def scenario(client):
        await client.send_raw(frame if isinstance(frame, str) else json.dumps(frame))
        await client.expect_error(says)
        await client.ping()
    run(stack, scenario)


# ---- The owner

def test_requests_are_listed_newest_first_in_pages(stack):
    async def scenario(client):
        sent = [await send_request(client, f"number {place}") for place in range(7)]
        found, query = [], "?limit=3"
        for _ in range(3):
            page = await asyncio.to_thread(listed, stack, query)
            assert len(page["contacts"]) <= 3
            found += page["contacts"]
            query = f"?limit=3&before={page['next']}"
        assert [contact["request_id"] for contact in found[:7]] == sent[::-1]
        numbers = [contact["number"] for contact in found]
        assert numbers == sorted(numbers, reverse=True) and len(set(numbers)) == len(numbers)
        everything = (await asyncio.to_thread(listed, stack))["contacts"]
        assert everything[:len(found)] == found
        assert (await asyncio.to_thread(listed, stack, f"?before={everything[-1]['number']}")) == {
            "contacts": [], "next": None}
    run(stack, scenario)


@pytest.mark.parametrize("query", ["?limit=x", "?limit=0", "?limit=-1", "?before=x", "?before=-1"])
def test_pages_that_make_no_sense_are_refused(stack, query):
    assert rest(stack.gateway.port, "GET", f"/api/v1/contacts{query}")[0] == 400


def test_a_page_holds_as_many_as_it_may(stack):
    async def scenario(client):
        for place in range(101):
            await send_request(client, f"many {place}")
        assert len((await asyncio.to_thread(listed, stack, "?limit=200"))["contacts"]) >= 101
        assert len((await asyncio.to_thread(listed, stack))["contacts"]) == 50
        status, answer = await asyncio.to_thread(rest, stack.gateway.port, "GET", "/api/v1/contacts?limit=201")
        assert (status, "1 to 200" in answer["error"]) == (400, True)
    run(stack, scenario)


def test_a_request_has_its_own_limit(stack):
    """Of all its texts together; a question may be longer."""
    async def scenario(client):
        await send_request(client, "x" * 16000, timestamp="t" * 184, userAgent="u" * 200)
        await client.send({"type": "contact_request", "message": "x" * 16000, "timestamp": "t" * 185, "userAgent": "u" * 200})
        await client.expect_error(FAILED + "the contact request is longer than 16384 bytes")
        assert await client.answer("x" * 16385) == "You said: " + "x" * 16385
    run(stack, scenario)


def delete(port, number, **headers):
    """Status, and what is said of it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request("DELETE", f"/api/v1/contacts/{number}", headers=headers)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def test_the_owner_deletes_a_request(stack):
    async def scenario(client):
        sent = [await send_request(client, f"deleted {place}") for place in range(3)]
        numbers = [contact["number"] for contact in (await asyncio.to_thread(listed, stack, "?limit=3"))["contacts"]]
        assert await asyncio.to_thread(delete, stack.gateway.port, numbers[1]) == (204, b"")
        left = (await asyncio.to_thread(listed, stack, "?limit=2"))["contacts"]
        assert [contact["request_id"] for contact in left] == [sent[2], sent[0]]
        for number in (numbers[1], numbers[0] + 1000, 0, "x", "1x", "-1", "9" * 30, ""):
            status, said = await asyncio.to_thread(delete, stack.gateway.port, number)
            assert status == 404 and json.loads(said), (number, status, said)
        assert rest(stack.gateway.port, "GET", f"/api/v1/contacts/{numbers[0]}")[0] == 405
    run(stack, scenario)


def test_only_the_owner_deletes(stack, tmp_path):
    tokens = {"tokens": [{"sha256": hashlib.sha256(token.encode()).hexdigest(), "user": token, "roles": roles}
                         for token, roles in (("ada", ["owner"]), ("bob", []))]}
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps(tokens))
    gateway = stack.add("gateway", TOKENS_FILE=path, HOST="127.0.0.1")

    async def scenario(client):
        await send_request(client)
    run(stack, scenario)
    number = listed(stack, "?limit=1")["contacts"][0]["number"]
    assert delete(gateway.port, number)[0] == 401
    assert delete(gateway.port, number, Authorization="Bearer bob")[0] == 403
    assert delete(gateway.port, number, Authorization="Bearer ada")[0] == 204
    stack.remove(gateway)


def test_each_request_is_posted_once(stack, webhook):
    async def scenario(client):
        sent = [await send_request(client, f"once {place}") for place in range(20)]
        await eventually(lambda: all(webhook.of(request) for request in sent), what="all are posted")
        assert all(len(webhook.of(request)) == 1 for request in sent)
    run(stack, scenario)


def test_the_owner_talks_to_everybody(stack):
    async def scenario(client):
        async with connect(Contact, stack.gateway.port, path="/blog/contact") as other:
            status, _ = await asyncio.to_thread(
                rest, stack.gateway.port, "POST", "/api/v1/contacts/broadcast", {"message": "我在 🙂"})
            assert status == 200
            for heard in (client, other):
                assert (await heard.expect("chat_message"))["message"] == "我在 🙂"
    run(stack, scenario)


@pytest.mark.parametrize("body", [None, b"", b"{", [], {}, {"message": ""}, {"message": 5}, {"message": None}])
def test_a_broadcast_without_a_message_is_refused(stack, body):
    status, _ = rest(stack.gateway.port, "POST", "/api/v1/contacts/broadcast", body)
    assert status == 400


class Extended(Contact):
    SHAPES = {**Contact.SHAPES, "cancelled": {"timestamp": number}, "session": {"resume": str},
              "tool": lambda value: {"id", "name", "status"} <= set(value) <= {
                  "id", "name", "status", "arguments", "result"}}

    async def welcomed(self):
        await super().welcomed()
        await self.expect("session")
        return self


def test_cancel_and_tool_steps(stack, model):
    """By the extension of all five."""
    model.script("work", call(("calculator", {"expression": "123 + 456"})), report_results())
    model.script("long", say(["word "] * 2000, delay=0.02))

    async def scenario():
        async with connect(Extended, stack.gateway.port, parley=1) as client:
            frames = await client.ask("work")
            assert [frame["status"] for frame in frames if frame["type"] == "tool"] == ["running", "done"]
            await client.ask_only("long")
            await client.expect("chat_message_received")
            await asyncio.to_thread(model.wait_for, "long")
            await client.send({"type": "cancel"})
            await client.expect("cancelled")
            await eventually(lambda: not model.asked("long")[-1].open, what="the provider's stream is closed")
            assert await client.answer("next") == "You said: next"
    asyncio.run(scenario())


def test_the_server_pings_every_20_seconds(stack):
    async def scenario(client):
        pinged = []
        pong = client.socket.pong

        async def note(*arguments):
            pinged.append(time.monotonic())
            await pong(*arguments)
        begun = time.monotonic()
        client.socket.pong = note
        await eventually(lambda: pinged, timeout=30, what="a ping")
        assert 15 < pinged[0] - begun < 26
    run(stack, scenario)
