"""Clients of the protocols besides the agent engine's (client.py): yychat, contact, langbot and minimal. Each checks
every frame that it gets against its section of the protocols, field by field.

    async with connect(LangBot, port, session="group") as client:
        await client.ask_only("ai, hello")
"""

import contextlib
import datetime
import re
import time
import urllib.parse
import uuid

import websockets

from client import Client

PIPELINE = "11111111-1111-4111-8111-111111111111"
OPTIONS = {"max_size": None, "ping_interval": None, "max_queue": None, "compression": None, "open_timeout": 30}


# ---- Shapes: a dict has these fields and no other; a list holds any number of its one shape; a type; a predicate; or
# the value itself.

def matches(value, shape):
    if isinstance(shape, dict):
        return (isinstance(value, dict) and set(value) == set(shape)
                and all(matches(value[name], inner) for name, inner in shape.items()))
    if isinstance(shape, list):
        return isinstance(value, list) and all(matches(item, shape[0]) for item in value)
    if isinstance(shape, type):
        return isinstance(value, shape)
    return shape(value) if callable(shape) else value == shape and type(value) is type(shape)


def one_of(*shapes):
    return lambda value: any(matches(value, shape) for shape in shapes)


def anything(_value):
    return True


def number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def seconds(value):
    """Unix seconds, now."""
    return number(value) and abs(value - time.time()) < 300


def iso_seconds(value):
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", value), value
    return datetime.datetime.fromisoformat(value + "+00:00").timestamp()


def iso(value):
    """ISO 8601, now."""
    return isinstance(value, str) and abs(iso_seconds(value) - time.time()) < 300


def uuid4(value):
    return isinstance(value, str) and str(uuid.UUID(value)) == value and uuid.UUID(value).version == 4


# ---- One class a protocol

class Dialect(Client):
    """`SHAPES`: by the frame's type."""
    SHAPES = {}
    OK = ()  # the types that end an answer well
    finals = ("error",)
    path = ""
    welcome_type = None

    @classmethod
    def check(cls, frame):
        assert isinstance(frame, dict) and frame.get("type") in cls.SHAPES, f"no such message: {frame}"
        shape = cls.SHAPES[frame["type"]]
        assert matches({name: value for name, value in frame.items() if name != "type"}, shape), (
            f"not as the protocol has it: {str(frame)[:1000]}")

    async def welcomed(self):
        if self.welcome_type:
            self.welcome = await self.expect(self.welcome_type)
        return self

    async def ask_only(self, query, **fields):
        raise NotImplementedError

    async def ask(self, query, timeout=30, **fields):
        """All frames up to the final one."""
        await self.ask_only(query, **fields)
        return (await self.collect(timeout)).frames

    async def answer(self, query, timeout=30, **fields):
        """The text of an answer that must go well."""
        return self.text_of(await self.ask(query, timeout, **fields))

    def text_of(self, frames):
        raise NotImplementedError

    @staticmethod
    def error_of(frame):
        assert frame["type"] == "error", str(frame)[:300]
        return frame["message"]

    async def expect_error(self, text, timeout=30):
        """The next frame is an error with exactly this text, or one that begins so where it ends with a space."""
        error = self.error_of(await self.receive(timeout))
        assert error == text or (text.endswith(" ") and error.startswith(text) and len(error) > len(text)), error
        return error


COUNTS = {"total_connections": count, "active_connections": count, "total_messages": count, "max_connections": count,
          "uptime": number}
_YYCHAT = {"client_id": uuid4, "timestamp": seconds}


def _yychat_error(kind, code):
    return {"message": str, "type": kind, "code": code}


class YYChat(Dialect):
    path = "/ws/chat"
    welcome_type = "connection_established"
    finals = ("stream_end", "text_response", "error")
    SHAPES = {
        "connection_established": {**_YYCHAT, "message": "连接已建立"},
        "heartbeat_response": _YYCHAT,
        "pong": _YYCHAT,
        "status_response": {**_YYCHAT, "data": COUNTS},
        "processing_start": _YYCHAT,
        "stream_start": _YYCHAT,
        "stream_chunk": {**_YYCHAT, "content": lambda text: isinstance(text, str) and text},
        "stream_end": {**_YYCHAT, "full_content": str},
        "text_response": {**_YYCHAT, "content": str, "conversation_id": one_of(str, lambda value: value is None)},
        "connection_closed": {**_YYCHAT, "message": "连接已关闭"},
        "error": one_of(
            {"error": _yychat_error("message_processing_error", "invalid_message"), "timestamp": seconds},
            {"error": _yychat_error("text_processing_error", "text_processing_failed"), **_YYCHAT},
            {"error": _yychat_error("json_parse_error", "invalid_json"), **_YYCHAT}),
    }

    async def welcomed(self):
        await super().welcomed()
        self.id = self.welcome["client_id"]
        return self

    async def receive_timed(self, timeout=30):
        frame, at = await super().receive_timed(timeout)
        assert not self.welcome or frame.get("client_id", self.id) == self.id, frame
        return frame, at

    async def ask_only(self, query, **fields):
        await self.send({"type": "text_message", "content": query, **fields})

    def text_of(self, frames):
        types = [frame["type"] for frame in frames]
        if types[-1] == "text_response":
            assert types == ["processing_start", "text_response"], types
            return frames[-1]["content"]
        assert types[:2] == ["processing_start", "stream_start"] and types[-1] == "stream_end", (types, frames[-1])
        assert set(types[2:-1]) <= {"stream_chunk"}, types
        assert "".join(frame["content"] for frame in frames[2:-1]) == frames[-1]["full_content"]
        return frames[-1]["full_content"]

    @staticmethod
    def error_of(frame):
        assert frame["type"] == "error", str(frame)[:300]
        return frame["error"]["message"]


class Contact(Dialect):
    path = "/contact"
    welcome_type = "connection_established"
    finals = ("chat_message", "error")
    SHAPES = {
        "connection_established": {"message": "WebSocket连接已建立", "client_id": uuid4, "timestamp": iso},
        "contact_request_received": {"message": "联系请求已收到，博主将尽快回复您", "request_id": uuid4,
                                     "timestamp": iso, "status": "received"},
        "chat_message_received": {"message": "消息已收到", "message_id": uuid4, "timestamp": iso},
        "chat_message": {"message": str, "sender": "assistant", "timestamp": iso},
        "pong": {"timestamp": iso},
        "error": {"message": str, "timestamp": iso},
    }

    async def ask_only(self, query, **fields):
        await self.send({"type": "chat_message", "message": query, **fields})

    def text_of(self, frames):
        assert [frame["type"] for frame in frames] == ["chat_message_received", "chat_message"], frames
        return frames[-1]["message"]


_MESSAGE = {"id": lambda value: count(value) and value > 0, "content": str, "message_chain": [dict], "timestamp": iso}
USER_MESSAGE = {**_MESSAGE, "role": "user", "is_final": True, "connection_id": uuid4}
RESPONSE = {**_MESSAGE, "role": "assistant", "is_final": bool, "connection_id": ""}


class LangBot(Dialect):
    welcome_type = "connected"
    SESSION = one_of("person", "group")
    SHAPES = {
        "connected": {"connection_id": uuid4, "pipeline_uuid": str, "session_type": SESSION, "timestamp": iso},
        "pong": {"timestamp": iso},
        "error": {"message": str},
        "user_message": {"session_type": SESSION, "data": USER_MESSAGE},
        "response": {"session_type": SESSION, "data": RESPONSE},
        "broadcast": {"message": anything, "timestamp": iso},
    }

    @staticmethod
    def chain(text):
        return [{"type": "Plain", "text": text}]

    async def ask_only(self, query, **fields):
        chain = query if isinstance(query, list) else self.chain(query)
        await self.send({"type": "message", "message": chain, **fields})

    async def collect_final(self, timeout=30):
        """The frames up to an answer's end, or an error."""
        frames = []
        while not frames or not (frames[-1]["type"] == "error" or self.is_end(frames[-1])):
            frames.append(await self.receive(timeout))
        return frames

    @staticmethod
    def is_end(frame):
        return frame["type"] == "response" and frame["data"]["is_final"]

    async def ask(self, query, timeout=30, **fields):
        await self.ask_only(query, **fields)
        return await self.collect_final(timeout)

    def text_of(self, frames):
        """Of a question and its answer with nothing between them."""
        question, answers = frames[0], [frame["data"] for frame in frames[1:]]
        assert question["type"] == "user_message", question
        assert all(frame["type"] == "response" for frame in frames[1:]), frames[-1]
        return check_answer(answers)


def check_answer(answers):
    """`data` of all frames of one of LangBot's answers, in order: its text."""
    first, last = answers[0], answers[-1]
    assert [answer["is_final"] for answer in answers] == [False] * (len(answers) - 1) + [True]
    for before, after in zip(answers, answers[1:]):
        assert (after["id"], after["timestamp"]) == (first["id"], first["timestamp"])
        assert after["content"].startswith(before["content"])
    for answer in answers:
        assert answer["message_chain"] == LangBot.chain(answer["content"])
    return last["content"]


def _status(status, message):
    return {"status": status, "data": {"message": message}}


def _is_tool_status(value):
    if not matches(value, {"status": str, "data": {"tool": str, "message": str}}):
        return False
    tool = value["data"]["tool"]
    said = {"tool_calling": f"正在调用工具: {tool}", "tool_completed": f"工具 {tool} 执行完成"}
    return value["data"]["message"] == said.get(value["status"])


class Minimal(Dialect):
    SHAPES = {
        "status": one_of(_status("thinking", "正在思考..."), _status("completed", "回答完成"), _is_tool_status),
        "chunk": one_of({"content": lambda text: isinstance(text, str) and text, "is_final": False},
                        {"content": "", "is_final": True}),
        "error": {"content": str},
    }

    async def ask_only(self, query, **fields):
        await self.send({"query": query, **fields})

    async def ask(self, query, timeout=30, **fields):
        await self.ask_only(query, **fields)
        return await self.collect_final(timeout)

    async def collect_final(self, timeout=30):
        frames = []
        while not frames or not (frames[-1]["type"] == "error" or frames[-1].get("status") == "completed"):
            frames.append(await self.receive(timeout))
        return frames

    def text_of(self, frames):
        """Of an answer from its `thinking`, or, for another of the user's sockets, from its first word."""
        frames = frames[1:] if frames[0].get("status") == "thinking" else frames
        assert frames[-1].get("status") == "completed", frames[-1]
        chunks = [frame for frame in frames if frame["type"] == "chunk"]
        assert frames[-2] is chunks[-1] and [chunk["is_final"] for chunk in chunks].index(True) == len(chunks) - 1
        return "".join(chunk["content"] for chunk in chunks)

    async def ping(self):
        """There is none in this protocol, so an error takes its place."""
        await self.send({"query": ""})
        await self.expect_error("查询内容不能为空")

    @staticmethod
    def error_of(frame):
        assert frame["type"] == "error", str(frame)[:300]
        return frame["content"]


def url_of(kind, port, pipeline=PIPELINE, session=None, user="ada", path=None, **arguments):
    """Where that protocol is spoken."""
    if issubclass(kind, LangBot):
        path = path or f"/api/v1/pipelines/{pipeline}/ws/connect"
        arguments = {**({"session_type": session} if session is not None else {}), **arguments}
    elif issubclass(kind, Minimal):
        path = path or f"/ws/chat/{urllib.parse.quote(user, safe='')}"
    query = urllib.parse.urlencode(arguments)
    return f"ws://127.0.0.1:{port}{path or kind.path}" + (f"?{query}" if query else "")


@contextlib.asynccontextmanager
async def connect(kind, port, headers=None, **where):
    """A connected client that has been welcomed; at the end nothing of any answer may be left over. `where`: of
    url_of()."""
    async with websockets.connect(url_of(kind, port, **where), extra_headers=headers, **OPTIONS) as socket:
        client = await kind(socket).welcomed()
        yield client
        if socket.open:
            await client.ping()
        await client.close()
