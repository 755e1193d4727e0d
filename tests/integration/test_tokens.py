"""TOKENS_FILE: who may come in, who may do what, and that no token is ever written down."""

import asyncio
import hashlib
import http.client
import json
import signal
import uuid

import pytest
import websockets

import client as agent_engine
from dialects import OPTIONS, PIPELINE, Contact, LangBot, Minimal, YYChat, connect, matches, url_of
from model_server import call, report_results
from process import wait_until
from stack import Stack, call as rest, get
from tool_file import command_tools


class AgentEngine(agent_engine.Client):
    path = "/ws/agent"


FIVE = (AgentEngine, YYChat, Contact, LangBot, Minimal)
ADA, BOB, EVE = (f"{name}-secret-{uuid.uuid4().hex}" for name in ("ada", "bob", "eve"))  # nobody knows eve's


def entry(token, user, **more):
    return {"sha256": hashlib.sha256(token.encode()).hexdigest(), "user": user, **more}


KNOWN = {"tokens": [entry(ADA, "ada", roles=["owner"]), entry(BOB, "bob"), {**entry("x", "carl"), "roles": ["guest"]}]}


@pytest.fixture(scope="module")
def tokens_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokens") / "tokens.json"
    path.write_text(json.dumps(KNOWN))
    return path


@pytest.fixture(scope="module")
def stack(model, tokens_file, tmp_path_factory):
    tools = command_tools(tmp_path_factory.mktemp("tools"), {"credential": 'printf "<%s>" "$PARLEY_CREDENTIAL"'})
    with Stack(model=model, TOKENS_FILE=tokens_file, TOOLS_CONFIG=tools, HOST="127.0.0.1") as running:
        running.start(router=1, agent=1, tools=1, gateway=1)
        yield running
        for process in [*running.services, running.broker]:
            with open(process.log_path, encoding="utf-8", errors="replace") as log:
                written = log.read()
            for token in (ADA, BOB, EVE):
                assert token not in written, f"a token stands in the log of {process.name}"


CHALLENGES = {401: "Bearer"}  # by status; RFC 9110, section 11.6.1, and RFC 6750, section 3


def bearer(token, scheme="Bearer"):
    return {"Authorization": f"{scheme} {token}"}


def refused(stack, kind, status, headers=None, **where):
    async def scenario():
        with pytest.raises(websockets.InvalidStatusCode) as error:
            await websockets.connect(url_of(kind, stack.gateway.port, **where), extra_headers=headers, **OPTIONS)
        assert error.value.status_code == status
        assert error.value.headers.get("WWW-Authenticate") == CHALLENGES.get(status)
    asyncio.run(scenario())


def run(stack, kind, scenario, headers=None, **where):
    async def connected():
        if kind is AgentEngine:
            async with agent_engine.connect(url_of(kind, stack.gateway.port, **where), extra_headers=headers) as client:
                return await scenario(client)
        async with connect(kind, stack.gateway.port, headers=headers, **where) as client:
            await scenario(client)
    asyncio.run(connected())


async def says(client, question="hello"):
    if isinstance(client, LangBot):
        return client.text_of(await client.ask(question))
    if isinstance(client, Contact | Minimal | YYChat):
        return await client.answer(question)
    return (await client.ask(question)).check_streamed().text


async def hello(client):
    assert await says(client) == "You said: hello"


# ---- The upgrade

@pytest.mark.parametrize("kind", FIVE)
def test_a_token_in_the_header_or_in_the_address(stack, kind):
    where = {"user": "bob"} if kind is Minimal else {}
    run(stack, kind, hello, headers=bearer(BOB), **where)
    run(stack, kind, hello, headers=bearer(BOB, "bearer"), **where)
    run(stack, kind, hello, token=BOB, **where)


@pytest.mark.parametrize("kind", FIVE)
def test_a_bad_one_is_401(stack, kind):
    where = {"user": "bob"} if kind is Minimal else {}
    refused(stack, kind, 401, headers=bearer(EVE), **where)
    refused(stack, kind, 401, token=EVE, **where)
    refused(stack, kind, 401, token="", **where)
    refused(stack, kind, 401, headers=bearer(BOB[:-1]), **where)
    refused(stack, kind, 401, headers=bearer(BOB + "x"), **where)
    refused(stack, kind, 401, headers=bearer(hashlib.sha256(BOB.encode()).hexdigest()), **where)


@pytest.mark.parametrize("kind", [kind for kind in FIVE if kind is not Minimal])
def test_none_is_401(stack, kind):
    refused(stack, kind, 401)
    refused(stack, kind, 401, headers={"Authorization": f"Basic {BOB}"})
    refused(stack, kind, 401, headers={"Authorization": BOB})


# ---- Minimal, whose token comes with the question

def test_minimal_with_its_own_token(stack):
    async def scenario(client):
        assert await client.answer("hello", token=BOB) == "You said: hello"
        assert await client.answer("and on", token=BOB) == "You said: and on"
        assert await client.answer("known now") == "You said: known now"
    run(stack, Minimal, scenario, user="bob")


def test_minimal_without_one_may_ask_nothing(stack, model):
    async def scenario(client):
        before = len(model.requests)
        for fields, wrong in (({}, "需要 token"), ({"token": EVE}, "token 无效"), ({"token": ""}, "需要 token"),
                              ({"token": None}, "需要 token"), ({"token": ADA}, "token 属于其他用户")):
            await client.ask_only("hello", **fields)
            await client.expect_error(f"处理出错: {wrong}")
            await client.ping()
        assert len(model.requests) == before
        assert await client.answer("hello", token=BOB) == "You said: hello"
        await client.ask_only("hello", token=EVE)
        await client.expect_error("处理出错: ")
        assert await client.answer("hello") == "You said: hello"
    run(stack, Minimal, scenario, user="bob")


def test_minimal_is_each_users_own(stack):
    refused(stack, Minimal, 403, headers=bearer(BOB), user="ada")
    refused(stack, Minimal, 403, token=ADA, user="bob")


def test_who_has_shown_no_token_hears_nothing(stack):
    async def scenario(client):
        async with connect(Minimal, stack.gateway.port, user="bob") as stranger:
            assert await client.answer("private", token=BOB) == "You said: private"
            await stranger.ping()
            async with connect(Minimal, stack.gateway.port, user="bob", headers=bearer(BOB)) as other:
                assert await client.answer("shared") == "You said: shared"
                assert other.text_of(await other.collect_final()) == "You said: shared"
            await stranger.ping()
    run(stack, Minimal, scenario, user="bob")


def test_the_credential_reaches_tools(stack, model):
    """Where a command repeats it, the answer is to nobody but the one whose it is."""
    model.script("mine", *[call(("credential", {})), report_results()] * 2)

    async def scenario(client):
        assert f"<{BOB}>" in await client.answer("mine", token=BOB)
    run(stack, Minimal, scenario, user="bob")


# ---- Users

def test_conversations_of_one_name_are_each_users_own(stack, model):
    name = str(uuid.uuid4())

    async def secret(client):
        await client.answer("the secret is 7", conversation_id=name)

    async def ask(client):
        await client.answer(f"what? {name}", conversation_id=name)
    run(stack, YYChat, secret, headers=bearer(ADA))
    run(stack, YYChat, ask, headers=bearer(BOB))
    assert not any("is 7" in message["content"] for message in model.asked(f"what? {name}")[0].messages[1:])
    run(stack, YYChat, ask, headers=bearer(ADA))
    assert any("is 7" in message["content"] for message in model.asked(f"what? {name}")[1].messages)


# ---- Over HTTP

ANYBODYS = [("GET", "/ws/status"), ("GET", "/ws/handlers")]
BASE = f"/api/v1/pipelines/{PIPELINE}/ws"
OWNERS = [("GET", "/ws/statistics"), ("GET", f"{BASE}/connections"), ("POST", f"{BASE}/reset/person"),
          ("POST", f"{BASE}/broadcast"), ("GET", "/api/v1/contacts"), ("POST", "/api/v1/contacts/broadcast")]
USERS = [*ANYBODYS, ("GET", f"{BASE}/messages/person")]


def do(stack, method, path, token=None, argument=None):
    body = {"message": "x"} if path.endswith("broadcast") else None
    return rest(stack.gateway.port, method, path + (f"?token={argument}" if argument else ""), body,
                **(bearer(token) if token else {}))


@pytest.mark.parametrize("method, path", [*USERS, *OWNERS])
def test_calls_without_a_token_are_401(stack, method, path):
    for token in (None, EVE):
        status, answer = do(stack, method, path, token)
        assert status == 401
        if path.startswith(BASE):
            assert matches(answer, {"code": -1, "msg": str}), answer
    assert do(stack, method, path, argument=EVE)[0] == 401


def challenge(stack, path, method="GET", **headers):
    """Status and WWW-Authenticate of a call over HTTP."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.gateway.port, timeout=15)
    connection.request(method, path, headers=headers)
    response = connection.getresponse()
    connection.close()
    return response.status, response.headers["WWW-Authenticate"]


@pytest.mark.parametrize("method, path", [*USERS, *OWNERS])
def test_a_401_asks_for_a_bearer(stack, method, path):
    assert challenge(stack, path, method) == (401, "Bearer")
    assert challenge(stack, path, method, **bearer(EVE)) == (401, "Bearer")
    assert challenge(stack, f"{path}?token={EVE}", method) == (401, "Bearer")
    if (method, path) in OWNERS:
        assert challenge(stack, path, method, **bearer(BOB)) == (403, None)


@pytest.mark.parametrize("kind", FIVE)
def test_without_an_upgrade_the_token_is_asked_for_first(stack, kind):
    path = url_of(kind, stack.gateway.port, user="bob").split(str(stack.gateway.port), 1)[1]
    assert challenge(stack, path) == (401, "Bearer")
    assert challenge(stack, path, **bearer(EVE)) == (401, "Bearer")
    assert challenge(stack, path, **bearer(BOB)) == (426, None)


@pytest.mark.parametrize("method, path", USERS)
def test_calls_for_every_user(stack, method, path):
    for token in (ADA, BOB, "x"):
        assert do(stack, method, path, token)[0] == 200
        assert do(stack, method, path, argument=token)[0] == 200


@pytest.mark.parametrize("method, path", OWNERS)
def test_calls_for_the_owner_alone(stack, method, path):
    for token in (BOB, "x"):
        status, answer = do(stack, method, path, token)
        assert status == 403
        if path.startswith(BASE):
            assert matches(answer, {"code": -1, "msg": str}), answer
    assert do(stack, method, path, ADA)[0] == 200
    assert do(stack, method, path, argument=ADA)[0] == 200


def test_a_broadcast_that_is_refused_is_not_sent(stack):
    async def scenario(client):
        assert (await asyncio.to_thread(do, stack, "POST", "/api/v1/contacts/broadcast", BOB))[0] == 403
        await client.ping()
        assert (await asyncio.to_thread(do, stack, "POST", "/api/v1/contacts/broadcast", ADA))[0] == 200
        assert (await client.expect("chat_message"))["message"] == "x"
    run(stack, Contact, scenario, headers=bearer(BOB))


def test_the_operations_port_needs_none(stack):
    assert get(stack.gateway.ops_port, "/readyz")[0] == 200


# ---- The file

def reload(stack, path, content, says_):
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    before = len(stack.gateway.log_lines())
    stack.gateway.popen.send_signal(signal.SIGHUP)
    wait_until(lambda: any(line["message"] == says_ for line in stack.gateway.log_lines()[before:]), what=says_)


def test_sighup_reads_it_again(stack, tokens_file):
    without_bob = {"tokens": [KNOWN["tokens"][0]]}

    async def scenario(client):
        async with connect(YYChat, stack.gateway.port, headers=bearer(ADA)) as ada:
            await asyncio.to_thread(reload, stack, tokens_file, "{",
                                    "the tokens stay as they were: TOKENS_FILE can't be used")
            await client.ping()
            await hello(ada)
            await asyncio.to_thread(reload, stack, tokens_file, without_bob, "tokens read")
            assert (await client.closed())[0] == 1008
            await hello(ada)
    run(stack, YYChat, scenario, headers=bearer(BOB))
    refused(stack, YYChat, 401, headers=bearer(BOB))
    assert do(stack, "GET", "/ws/status", BOB)[0] == 401
    reload(stack, tokens_file, KNOWN, "tokens read")
    run(stack, YYChat, hello, headers=bearer(BOB))


@pytest.mark.parametrize("content, wrong", [
    ("{", ""), ("[]", "list"), ('{"tokens":{}}', "list"), ('{"tokens":[{}]}', "tokens[0]"),
    ('{"tokens":[{"sha256":"xx","user":"a"}]}', "tokens[0].sha256"),
    (json.dumps({"tokens": [entry("a", "a"), entry("b", "")]}), "tokens[1].user"),
    (json.dumps({"tokens": [entry("a", "a", roles="owner")]}), "tokens[0].roles"),
    (json.dumps({"tokens": [entry("a", "a", role=["owner"])]}), "tokens[0]")])
def test_a_bad_file_at_start_is_told(stack, tmp_path, content, wrong):
    path = tmp_path / "bad.json"
    path.write_text(content)
    gateway = stack.add("gateway", ready=False, TOKENS_FILE=path)
    assert gateway.wait(15) != 0
    gateway.killed = True
    stack.services.remove(gateway)
    assert wrong in gateway.log() and "TOKENS_FILE" in gateway.log()


def test_where_it_listens(stack):
    """On all addresses, where HOST does not say otherwise: with tokens it is safe to."""
    assert get(stack.gateway.port, "/ws/status", **bearer(BOB))[0] == 200
    with pytest.raises(OSError):
        get(stack.gateway.port, "/ws/status", host="127.0.0.2")
    environment = stack.environment("gateway")
    stack.settings.pop("HOST")
    try:
        everywhere = stack.add("gateway")
        assert get(everywhere.port, "/ws/status", host="127.0.0.2", **bearer(BOB))[0] == 200
        stack.remove(everywhere)
    finally:
        stack.settings["HOST"] = environment["HOST"]
