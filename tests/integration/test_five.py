"""All five protocols at once on one gateway: on every port, and the same question by many clients of each."""

import asyncio
import contextlib
import json
import socket
import uuid

import pytest

import client as agent_engine
from client import eventually
from dialects import PIPELINE, Contact, LangBot, Minimal, YYChat, check_answer, connect
from model_server import say
from stack import Stack, call as rest, free_port, sized

SETTINGS = {f"{name}_PORT": free_port() for name in ("YYCHAT", "CONTACT", "LANGBOT", "MINIMAL")}
DEFAULTS = {"PORT": 8003, "YYCHAT_PORT": 9800, "CONTACT_PORT": 8080, "LANGBOT_PORT": 8000, "MINIMAL_PORT": 8001}
CLIENTS = sized(50, 10)  # of each protocol
QUESTION = "ai, what is the same for everybody?"


class AgentEngine(agent_engine.Client):
    async def answer(self, query, **_fields):
        return (await self.ask(query)).check_streamed().text


@contextlib.asynccontextmanager
async def connect_agent_engine(port):
    async with agent_engine.connect(f"ws://127.0.0.1:{port}/ws/agent") as client:
        client.__class__ = AgentEngine
        yield client


def open_any(kind, port, **where):
    return connect_agent_engine(port) if kind is AgentEngine else connect(kind, port, **where)


FIVE = (AgentEngine, YYChat, Contact, LangBot, Minimal)


# ---- Ports

@pytest.mark.parametrize("kind", FIVE)
def test_every_protocol_on_every_port(stack, kind):
    ports = [stack.gateway.port, *SETTINGS.values()]

    async def scenario(port):
        async with open_any(kind, port) as client:
            if kind is LangBot:
                assert client.text_of(await client.ask("hello")) == "You said: hello"
            else:
                assert await client.answer("hello") == "You said: hello"
    for port in ports:
        asyncio.run(scenario(port))


def test_every_call_on_every_port(stack):
    for port in [stack.gateway.port, *SETTINGS.values()]:
        for path in ("/ws/statistics", "/ws/status", "/ws/handlers", "/api/v1/contacts"):
            assert rest(port, "GET", path)[0] == 200, (port, path)


def taken(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            return False
        except OSError:
            return True


def test_the_originals_ports(model):
    """Each where its clients look for it."""
    busy = [port for port in DEFAULTS.values() if taken(port)]
    if busy:
        pytest.skip(f"in use on this machine: {busy}")
    with Stack(model=model) as stack:
        stack.start(router=1, agent=1)
        stack.add("gateway", **DEFAULTS)

        async def scenario():
            for kind, port in ((AgentEngine, 8003), (YYChat, 9800), (Contact, 8080), (LangBot, 8000), (Minimal, 8001)):
                async with open_any(kind, port) as client:
                    if kind is LangBot:
                        assert client.text_of(await client.ask("hello")) == "You said: hello"
                    else:
                        assert await client.answer("hello") == "You said: hello"
        asyncio.run(scenario())


# ---- All at once

class Answers:
    """One for each time that the question is asked, each another: so that none can be taken for another."""

    def __init__(self):
        self.given = []

    def __call__(self, _request):
        number = len(self.given)
        words = [f"{number}:{position} " for position in range(40)]
        self.given.append("".join(words) + f"end of {number} 🙂")
        return say([*words, f"end of {number} 🙂"], delay=0.002)


async def ask_when_all_are_there(kind, port, gate, **where):
    async with open_any(kind, port, **where) as client:
        await gate()
        return [await client.answer(QUESTION)]


async def ask_in_a_room(port, gate, members, session):
    """All answers that one member sees, its own and those of the others: each complete."""
    async with connect(LangBot, port, session=session) as client:
        await gate()
        await client.ask_only(QUESTION)
        asked, answers, ended = [], {}, 0
        while ended < members or len(asked) < members:
            frame = await client.receive(60)
            assert frame["type"] in ("user_message", "response"), frame
            data = frame["data"]
            if frame["type"] == "user_message":
                asked.append(data["id"])
                assert data["content"] == QUESTION
            else:
                answers.setdefault(data["id"], []).append(data)
                ended += data["is_final"]
        assert sorted([*asked, *answers]) == list(range(1, 2 * members + 1))
        return {number: check_answer(frames) for number, frames in answers.items()}


def test_the_same_question_through_all_five_at_once(stack, model):
    answers = Answers()
    model.default = answers
    half = CLIENTS // 2

    async def scenario():
        ready, started = [], asyncio.Event()

        async def gate():
            ready.append(1)
            await started.wait()
        port = stack.gateway.port
        rooms = [asyncio.ensure_future(ask_in_a_room(port, gate, half, session))
                 for session in ("person", "group") for _ in range(half)]
        single = [asyncio.ensure_future(ask_when_all_are_there(kind, port, gate, **where))
                  for kind in FIVE if kind is not LangBot
                  for where in ({"user": str(uuid.uuid4())} if kind is Minimal else {} for _ in range(CLIENTS))]
        await eventually(lambda: len(ready) == len(rooms) + len(single), 30, "all are connected")
        for session in ("person", "group"):  # so that numbers begin at 1
            status, _ = await asyncio.to_thread(rest, port, "POST", f"/api/v1/pipelines/{PIPELINE}/ws/reset/{session}")
            assert status == 200
        started.set()
        return await asyncio.gather(*rooms), await asyncio.gather(*single)
    try:
        rooms, single = asyncio.run(scenario())
    finally:
        model.default = None
    seen = [answer for got in single for answer in got]
    for session in (rooms[:half], rooms[half:]):
        assert all(json.dumps(member, sort_keys=True) == json.dumps(session[0], sort_keys=True) for member in session)
        seen += session[0].values()
    assert len(seen) == 5 * CLIENTS == len(answers.given)
    assert sorted(seen) == sorted(answers.given)
