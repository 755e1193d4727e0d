"""One trace id (W3C Trace Context) from the client to the provider, the tools, and the log lines of all services."""

import asyncio
import json
import re
import uuid

import pytest
import websockets

import dialects
import messages
from bus import Bus, key_of
from client import connect, eventually
from dialects import OPTIONS, PIPELINE, Contact, LangBot, url_of
from model_server import call, report_results, say
from process import wait_until
from stack import Stack, call as rest, get, has, sized
from tool_file import command_tools

pytestmark = pytest.mark.skipif(not has("tools"), reason="the tools service is not built")

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"
FORM = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-0([01])")
SHOW = """printf '"%s"' "$TRACEPARENT" """


@pytest.fixture(scope="module")
def stack(model, webhook, tmp_path_factory):
    directory = tmp_path_factory.mktemp("config")
    config = directory / "parley.json"
    config.write_text(json.dumps({"pipelines": [{"uuid": PIPELINE, "name": "A"}], "contact": {"webhook": webhook.url}}))
    tools = command_tools(directory, {"trace": SHOW, "sleeps": "exec sleep 60"})
    with Stack(model=model, PARLEY_CONFIG=config, TOOLS_CONFIG=tools) as running:
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


def new_trace():
    trace = uuid.uuid4().hex
    return trace, {"traceparent": f"00-{trace}-{PARENT}-01"}


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


# ---- Contact requests

def test_a_contact_request_bears_it_to_the_webhook(stack, webhook):
    trace, sent = new_trace()

    async def scenario():
        async with dialects.connect(Contact, stack.gateway.port, headers=sent) as client:
            webhook.default = 500
            await client.send({"type": "contact_request", "message": "call me"})
            request = (await client.expect("contact_request_received"))["request_id"]
            await eventually(lambda: webhook.of(request), what="refused")
            webhook.default = 200
            await eventually(lambda: webhook.taken(request), what="posted")
            return request
    request = asyncio.run(scenario())
    seen = [parts(post.headers["traceparent"]) for post in webhook.of(request)]
    assert {(found, flag) for found, _, flag in seen} == {(trace, "1")}
    assert len({parent for _, parent, _ in seen} | {PARENT}) == len(seen) + 1 > 2, "each try has a parent id of its own"
    wait_until(lambda: lines(stack, message="contact request posted", trace=trace), what="the router's line")
    found = lines(stack, trace=trace)
    number = lines(stack, message="contact request stored", trace=trace)[0][1]["number"]
    assert {service for service, line in found if line.get("request") == request} == {"gateway", "router"}
    assert [line for _, line in found if line["message"].startswith("a contact request could not be posted")]
    for field, value in (("request", request), ("number", number)):
        assert all(line.get("trace") == trace for _, line in lines(stack, **{field: value}))


def test_a_contact_request_without_one_gets_one(stack, webhook):
    async def scenario():
        async with dialects.connect(Contact, stack.gateway.port) as client:
            await client.send({"type": "contact_request", "message": "call me"})
            request = (await client.expect("contact_request_received"))["request_id"]
            await eventually(lambda: webhook.taken(request), what="posted")
            return request
    request = asyncio.run(scenario())
    (trace, _, _) = parts(webhook.of(request)[0].headers["traceparent"])
    found = lines(stack, request=request)
    assert {service for service, _ in found} == {"gateway", "router"}
    assert {line["trace"] for _, line in found} == {trace}


# ---- Calls over HTTP, and connections

BASE = f"/api/v1/pipelines/{PIPELINE}/ws"
CALLS = [("GET", f"{BASE}/messages/person", "conversation read"), ("POST", f"{BASE}/reset/person", "conversation reset"),
         ("GET", f"{BASE}/connections", "pipeline looked for"), ("POST", f"{BASE}/broadcast", "broadcast sent"),
         ("GET", "/api/v1/contacts", "contact requests listed"), ("POST", "/api/v1/contacts/broadcast", "broadcast sent")]


@pytest.mark.parametrize("method, path, done", CALLS)
def test_a_call_over_http_bears_it(stack, method, path, done):
    trace, sent = new_trace()
    body = {"message": "x"} if path.endswith("broadcast") else None
    assert rest(stack.gateway.port, method, path, body, **sent)[0] == 200
    assert {(service, line["message"]) for service, line in lines(stack, trace=trace)} == {
        ("gateway", "call"), ("router", done)}
    assert rest(stack.gateway.port, method, path, body)[0] == 200
    assert all(line["trace"] for message in ("call", done) for _, line in lines(stack, message=message))


def test_a_connection_bears_it(stack):
    trace, sent = new_trace()

    async def scenario():
        async with dialects.connect(LangBot, stack.gateway.port, headers=sent):
            pass
    asyncio.run(scenario())
    found = {(service, line["message"]) for service, line in lines(stack, trace=trace)}
    assert found >= {("gateway", "connection asked for"), ("gateway", "connection opened"), ("gateway", "message"),
                     ("router", "pipeline looked for")}


# ---- What goes wrong

def warned(stack, trace):
    """What was said of it as a warning, or worse."""
    return {(service, line["message"]) for service, line in lines(stack, trace=trace)
            if line["level"] in ("warning", "error")}


def test_no_router_is_told_with_it():
    contact, history, joined = new_trace(), new_trace(), new_trace()

    async def scenario(port):
        async with dialects.connect(Contact, port, headers=contact[1]) as client:
            await client.send({"type": "contact_request", "message": "call me"})
            await client.expect("error")
        async with websockets.connect(url_of(LangBot, port), extra_headers=joined[1], **OPTIONS) as socket:
            assert json.loads(await socket.recv())["type"] == "error"
    with Stack() as stack:
        stack.start(gateway=1)
        asyncio.run(scenario(stack.gateway.port))
        assert rest(stack.gateway.port, "GET", f"{BASE}/messages/person", **history[1])[0] == 503
        for (trace, _), message in ((contact, "a contact request may not have been stored"),
                                    (history, "a call over HTTP failed"), (joined, "a pipeline could not be asked for")):
            assert warned(stack, trace) == {("gateway", message)}


COMMANDS = ["command.ask", "command.call_tool", "command.contact", "command.contact_list", "command.contact_delete",
            "command.history", "command.reset", "command.broadcast", "command.find_pipeline", "conversation.turn_done"]


@pytest.mark.parametrize("subject, service", [*((command, "router") for command in COMMANDS), ("tool.trace", "tools")])
def test_what_can_not_be_read_is_told_with_it(stack, subject, service):
    trace, sent = new_trace()

    async def scenario():
        async with Bus(stack.broker.port) as bus:
            bus.publish(f"parley.{subject}", b"\xff", "parley-test.nobody", sent)
            ((told, _),) = await eventually(lambda: warned(stack, trace), what="a line")
            assert told == service
    asyncio.run(scenario())


def unsent_commands():
    """Those whose answer waits for the store or a tool: subject, command."""
    ids = {"turn": str(uuid.uuid4()), "connection": str(uuid.uuid4())}
    name = {"conversation": b"name"}
    ended = messages.ConversationTurn(turn=ids["turn"], question=b"q", answer=b"a")
    return [
        ("command.ask", messages.Ask(gateway="g", question=b"q", **ids, **name)),
        ("command.call_tool", messages.CallTool(call="c", name="sleeps", arguments=b"{}")),
        ("command.contact", messages.Contact(request=str(uuid.uuid4()), connection="c", message=b"m")),
        ("command.contact_list", messages.ContactList()),
        ("command.history", messages.History(**name)),
        ("command.reset", messages.Reset(**name)),
        ("conversation.turn_done", messages.TurnDone(conversation=key_of("name"), turn=ended)),
    ]


def test_a_command_whose_answer_nobody_waits_for_is_dropped(stack):
    async def scenario():
        async with Bus(stack.broker.port) as bus:
            for subject, command in unsent_commands():
                trace, sent = new_trace()
                bus.publish(f"parley.{subject}", command.SerializeToString(), headers=sent)
                ((told, text),) = await eventually(lambda: warned(stack, trace), what=subject)
                assert (told, "dropped" in text) == ("router", True)
    asyncio.run(scenario())


def test_what_can_not_be_sent_is_told_with_it():
    """Frozen, the router has got commands; when it wakes up, the broker is gone."""
    commands = [(*command, *new_trace()) for command in unsent_commands()]
    with Stack() as stack:
        (router,) = stack.start(router=1)

        def sent_to_router(field):
            known = json.loads(get(stack.broker.monitor_port, "/connz")[1])["connections"]
            return sum(one[field] for one in known if one.get("name", "").startswith("parley-router"))

        async def scenario():
            async with Bus(stack.broker.port) as bus:
                router.freeze()
                before = sent_to_router("out_msgs")
                for subject, command, _, sent in commands:
                    bus.publish(f"parley.{subject}", command.SerializeToString(), "parley-test.nobody", sent)
                await eventually(lambda: sent_to_router("out_msgs") == before + len(commands), what="it has got all")
                await eventually(lambda: sent_to_router("pending_bytes") == 0, what="in its socket")
        asyncio.run(scenario())
        stack.broker.kill()
        router.thaw()
        unsent = ("router", "an answer could not be sent")
        for subject, _, trace, _ in commands:
            wait_until(lambda: unsent in warned(stack, trace), what=subject)
        stack.broker.start()
        wait_until(router.ready, what="connected again")


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
