"""A client of the broker, and with it a gateway whose connections are the test: for what goes over the bus itself."""

import asyncio
import base64
import hashlib
import json
import time
import uuid

import messages

STATES = messages.TurnState
PIPELINE = "11111111-1111-4111-8111-111111111111"
FINALS = ("completed", "failed", "cancelled", "noted")


def key_of(name):
    """id_hash: how a conversation's or a room's name is written in keys and subjects."""
    name = name.encode() if isinstance(name, str) else name
    return base64.urlsafe_b64encode(hashlib.sha256(name).digest()).decode().rstrip("=")


class Bus:
    """As much of the NATS client protocol as tests take."""

    def __init__(self, port):
        self.port = port
        self._handlers = {}

    async def __aenter__(self):
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self.port, limit=16 << 20)
        await self._reader.readline()  # INFO
        self._writer.write(b'CONNECT {"verbose":false,"headers":true,"no_responders":true}\r\nPING\r\n')
        while await self._reader.readline() != b"PONG\r\n":
            pass
        self._task = asyncio.ensure_future(self._read())
        return self

    async def __aexit__(self, *_error):
        self._task.cancel()
        self._writer.close()

    async def _read(self):
        while line := await self._reader.readline():
            words = line.decode().split()
            if words[0] == "PING":
                self._writer.write(b"PONG\r\n")
            elif words[0] in ("MSG", "HMSG"):
                data = (await self._reader.readexactly(int(words[-1]) + 2))[:-2]
                status = data[:12] if words[0] == "HMSG" else b""
                self._handlers[words[2]](words[1], data, status)

    def subscribe(self, subject, handler):
        """handler(subject, data, status)"""
        number = str(len(self._handlers) + 1)
        self._handlers[number] = handler
        self._writer.write(f"SUB {subject} {number}\r\n".encode())

    def publish(self, subject, data, reply="", headers=None):
        head = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
        if head:
            head = f"NATS/1.0\r\n{head}\r\n"
        verb, sizes = ("HPUB", f"{len(head)} {len(head) + len(data)}") if head else ("PUB", len(data))
        self._writer.write(f"{verb} {subject} {reply} {sizes}\r\n{head}".encode() + data + b"\r\n")

    async def request(self, subject, data, timeout=15):
        inbox = f"_INBOX.{uuid.uuid4()}"
        answer = asyncio.get_running_loop().create_future()
        self.subscribe(inbox, lambda _subject, got, status: answer.done() or answer.set_result((got, status)))
        self.publish(subject, data, inbox)
        got, status = await asyncio.wait_for(answer, timeout)
        assert not status, f"{subject}: {status}"
        return got

    async def command(self, kind, command, answer):
        """A command to a router, and its answer unpacked."""
        got = await self.request(f"parley.command.{kind}", command.SerializeToString())
        return answer.FromString(got)

    async def history(self, name):
        reply = await self.command("history", messages.History(conversation=name.encode()), messages.HistoryReply)
        assert not reply.failure, reply.failure
        return messages.Conversation.FromString(reply.conversation)

    async def stream(self, name):
        return json.loads(await self.request(f"$JS.API.STREAM.INFO.{name}", b""))["state"]


class Turn:
    """What a gateway has heard of a question, in order."""

    def __init__(self, turn, connection, question):
        self.id, self.connection, self.question = turn, connection, question
        self.events = []
        self.changed = asyncio.Event()

    @property
    def kinds(self):
        return [event.WhichOneof("kind") for event in self.events]

    def of(self, kind):
        return [getattr(event, kind) for event in self.events if event.WhichOneof("kind") == kind]

    @property
    def text(self):
        text = b""
        for chunk in self.of("chunk"):
            assert chunk.offset <= len(text)
            text += chunk.text[len(text) - chunk.offset:]
        return text.decode()

    async def until(self, *kinds, timeout=60):
        deadline = time.monotonic() + timeout
        while not set(kinds) & set(self.kinds):
            self.changed.clear()
            await asyncio.wait_for(self.changed.wait(), max(0.01, deadline - time.monotonic()))
        return self

    async def end(self, timeout=60):
        return await self.until(*FINALS, timeout=timeout)


class FakeGateway:
    """Subscribes where a gateway does; what it hears of the turns that it asked stands in them, the rest in `heard`."""

    def __init__(self, bus):
        self.bus = bus
        self.id = uuid.uuid4().hex[:12]
        self.turns = {}
        self.heard = []
        bus.subscribe(f"parley.conn.{self.id}", self._on_events)
        bus.subscribe(f"parley.conn.{self.id}.>", self._on_events)

    def join(self, room):
        self.bus.subscribe(f"parley.room.{key_of(room)}", self._on_events)

    def _on_events(self, _subject, data, status):
        assert not status, "no responders"
        for event in messages.Events.FromString(data).events:
            self.heard.append(event)
            turn = self.turns.get(event.turn)
            if turn:
                turn.events.append(event)
                turn.changed.set()

    def ask(self, question, conversation, room=None, turn=None, **fields):
        turn = turn or str(uuid.uuid4())
        asked = self.turns[turn] = Turn(turn, fields.pop("connection", str(uuid.uuid4())), question)
        command = messages.Ask(
            turn=turn, gateway=self.id, connection=asked.connection, conversation=conversation.encode(),
            question=question.encode(), use_tools=True, deadline_ms=int(time.time() * 1000) + 15000,
            dialect=fields.pop("dialect", "test"), room=key_of(room) if room else "", **fields)
        reply = f"parley.conn.{self.id}.{asked.connection}.{turn}"
        self.bus.publish("parley.command.ask", command.SerializeToString(), reply)
        return asked
