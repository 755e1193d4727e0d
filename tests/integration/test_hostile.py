"""Hostile input to every protocol: an error or a documented close, no crash, and the next message works."""

import asyncio
import json
import socket
import struct

import pytest
import websockets

import client as agent_engine
from client import run_with
from dialects import PIPELINE, Contact, Dialect, LangBot, Minimal, YYChat, connect
from model_server import say
from stack import call as rest, get

LIMIT = 1 << 20
# A conversation is only a setting away from holding such questions.
SETTINGS = {"WS_MESSAGE_SIZE_LIMIT": LIMIT, "WS_MAX_QUESTIONS": 4, "CONVERSATION_MAX_BYTES": 4194304}


class AgentEngine(Dialect):
    path = "/ws/agent"
    welcome_type = "connected"
    finals = agent_engine.FINALS
    SHAPES = agent_engine.SHAPES
    check = staticmethod(agent_engine.check_shape)

    async def ask_only(self, query, **fields):
        await self.send({"type": "streaming_query", "query": query, **fields})

    def text_of(self, frames):
        return agent_engine.Answer(frames, []).check_streamed().text

    @staticmethod
    def error_of(frame):
        assert frame["type"] == "error", frame
        return frame["error"]


# How each protocol asks: a JSON text with QUESTION in the place of the question, which is a string of JSON.
ASK = {
    AgentEngine: '{"type":"streaming_query","query":QUESTION}',
    YYChat: '{"type":"text_message","content":QUESTION}',
    Contact: '{"type":"chat_message","message":QUESTION}',
    LangBot: '{"type":"message","message":[{"type":"Plain","text":QUESTION}]}',
    Minimal: '{"query":QUESTION}',
}
FIVE = tuple(ASK)


def run(stack, kind, scenario, **where):
    run_with(connect(kind, stack.gateway.port, **where), scenario)


async def works(client):
    """A whole answer, with nothing before it."""
    await client.ask_only("still there?")
    frames = [await client.receive()]
    while not is_final(client, frames[-1]):
        frames.append(await client.receive())
    assert client.text_of(frames) == "You said: still there?"


def is_final(client, frame):
    if isinstance(client, LangBot):
        return frame["type"] == "error" or client.is_end(frame)
    if isinstance(client, Minimal):
        return frame["type"] == "error" or frame.get("status") == "completed"
    return frame["type"] in client.finals


def asking(kind, question):
    return ASK[kind].replace("QUESTION", question)


# What is no message at all, in any protocol.
GARBAGE = {
    "nothing": "", "a space": " ", "a brace": "{", "half a string": '{"type":"ping', "two values": "{}{}",
    "deep lists": "[" * 10000, "deep and closed": "[" * 10000 + "]" * 10000, "deep objects": '{"a":' * 10000,
    "deep objects, closed": '{"a":' * 10000 + "1" + "}" * 10000, "1 MiB of brackets": "[" * LIMIT,
    "1 MiB of quotes": '"' * LIMIT, "1 MiB of backslashes": '"' + "\\" * (LIMIT - 2) + '"', "1 MiB of spaces": " " * LIMIT,
    "1 MiB of digits": "1" * LIMIT, "a huge number": "1e999999999", "NaN": "NaN", "Infinity": '{"type":-Infinity}',
    "a byte order mark": '\ufeff{"type":"ping"}', "single quotes": "{'type':'ping'}", "a comment": '{"type":"ping"/**/}',
    "a trailing comma": '{"type":"ping",}', "U+0000": "\0", "U+0000 after": '{"type":"ping"}\0',
    "a bare control character": '{"type":"pi\ng"}', "a bad escape": '{"type":"\\x41"}', "no key": "{:1}",
    "a lone high surrogate": '{"type":"\\ud83d"}', "a lone low surrogate": '{"type":"\\ude42"}',
    "surrogates reversed": '{"type":"\\ude42\\ud83d"}', "a surrogate in a key": '{"\\ud83d":1}',
    "a list": "[]", "a text": '"ping"', "a number": "5", "true": "true", "null": "null",
}
MANY_KEYS = "{" + ",".join(f'"key{number}":{number}' for number in range(60000)) + "}"
ERRORS = {
    **GARBAGE, "many keys": MANY_KEYS, "type twice": '{"type":"ping","type":"ping"}', "U+0000 in the type": '{"type":"a\\u0000b"}',
    "1 MiB of type": json.dumps({"type": "x" * (LIMIT - 100)}), "U+0000 in a key": '{"\\u0000":"x","type":"?"}',
    "1 MiB of empty objects": '{"type":[' + ",".join(["{}"] * 300000) + "]}"}


@pytest.mark.parametrize("kind", FIVE)
def test_garbage_is_an_error_and_the_next_message_works(stack, kind):
    async def scenario(client):
        for name, text in ERRORS.items():
            await client.send_raw(text)
            assert (await client.receive())["type"] == "error", name
            await client.ping()
        await works(client)
    run(stack, kind, scenario)


@pytest.mark.parametrize("kind", FIVE)
def test_questions_that_are_none(stack, kind):
    values = ["null", "true", "5", "-0.0", "1e400", "[]", "{}", '["x"]', '{"a":1}', '""', '" "', '"\\u3000\\t"', '"\\ud800"',
              '"\\udc00\\ud800"', "[" * 1000 + "]" * 1000, "[" * 60 + "]" * 60]

    async def scenario(client):
        for value in values:
            await client.send_raw(asking(kind, value))
            assert (await client.receive())["type"] == "error", value
            await client.ping()
        twice = asking(kind, '"a"')[:-1] + "," + asking(kind, '"b"')[1:]
        await client.send_raw(twice)  # duplicate keys
        assert (await client.receive())["type"] == "error"
        await works(client)
    run(stack, kind, scenario)


@pytest.mark.parametrize("kind", FIVE)
def test_strange_questions_are_answered_exactly(stack, kind):
    texts = ["\0", "a\0b", "\0" * 1000, "\x01\x02\x1f\x7f", "\u2028a\u2029", "\ufeff", "\ufffe\uffff", "\U0010ffff", "🙂" * 5000,
             "e\u0301" * 1000, "\u202egnirts", '"}],"type":"ping"', "\\u0000", "%s%n%x", "$(reboot)", "</script>", "../../etc",
             "parley.command.> *", "x" * 100000]

    async def scenario(client):
        for text in texts:
            await client.send_raw(asking(kind, json.dumps(text)))
            frames = [await client.receive()]
            while not is_final(client, frames[-1]):
                frames.append(await client.receive())
            assert client.text_of(frames) == f"You said: {text}", repr(text[:30])
        await works(client)
    run(stack, kind, scenario, **({"user": "strange"} if kind is Minimal else {}))


@pytest.mark.parametrize("kind", FIVE)
def test_unknown_fields_are_ignored(stack, kind):
    more = ',"more":{"type":"ping","deep":' + "[" * 50 + "]" * 50 + '},"":"\\u0000","x":' + json.dumps("y" * 500000)

    async def scenario(client):
        await client.send_raw(asking(kind, '"with more"')[:-1] + more + "}")
        frames = [await client.receive()]
        while not is_final(client, frames[-1]):
            frames.append(await client.receive())
        assert client.text_of(frames) == "You said: with more"
        await works(client)
    run(stack, kind, scenario)


@pytest.mark.parametrize("kind", FIVE)
def test_a_question_of_a_mebibyte(stack, model, kind):
    """As much as goes into a frame: every byte comes back."""
    def in_pieces(request):
        said = f"You said: {request.question}"
        return say([said[at:at + 50000] for at in range(0, len(said), 50000)])
    model.default = in_pieces
    room = LIMIT - len(asking(kind, '""'))
    text = ("0123456789abcde\0"[:15] + "é" * 3) * (room // 21 - 1)

    async def scenario(client):
        await client.send_raw(asking(kind, json.dumps(text, ensure_ascii=False)))
        frames = [await client.receive(60)]
        while not is_final(client, frames[-1]):
            frames.append(await client.receive(60))
        assert client.text_of(frames) == f"You said: {text}"
        await works(client)
    try:
        run(stack, kind, scenario, **({"user": "large"} if kind is Minimal else {}))
    finally:
        model.default = None


@pytest.mark.parametrize("kind", FIVE)
def test_binary_frames_are_an_error(stack, kind):
    async def scenario(client):
        for data in (b"", b"\0", b"\xff\xfe", asking(kind, '"hello"').encode(), b"x" * 100000):
            await client.send_raw(data)
            assert (await client.receive())["type"] == "error", data[:20]
            await client.ping()
        await works(client)
    run(stack, kind, scenario)


BAD_UTF8 = [b'{"type":"\xff\xfe"}', b"\xc0\x80", b"\xed\xa0\x80", b"\xf5\x80\x80\x80", b"\xf4\x90\x80\x80", b'{"type":"\xe4\xbc']


@pytest.mark.parametrize("kind", FIVE)
@pytest.mark.parametrize("data", BAD_UTF8, ids=repr)
def test_invalid_utf8_is_closed_with_1007(stack, kind, data):
    async def scenario(client):
        await client.socket.write_frame(True, 1, data)
        assert (await client.closed())[0] == 1007
    run(stack, kind, scenario)
    run(stack, kind, works)


@pytest.mark.parametrize("kind", FIVE)
def test_too_large_is_closed_with_1009(stack, kind):
    async def whole(client):
        await client.send_raw(asking(kind, json.dumps("x" * LIMIT)))
        assert (await client.closed())[0] == 1009

    async def in_pieces(client):
        async def pieces():
            for _ in range(80):
                yield "x" * 20000
        try:
            await client.socket.send(pieces())
        except websockets.ConnectionClosed:
            pass
        assert (await client.closed())[0] == 1009

    async def announced(client):
        """2^63 - 1 bytes, of which only some come."""
        client.socket.transport.write(b"\x81\xff" + struct.pack("!Q", (1 << 63) - 1) + b"mask" + b"x" * 1000)
        assert (await client.closed())[0] == 1009
    for scenario in (whole, in_pieces, announced, works):
        run(stack, kind, scenario)


@pytest.mark.parametrize("kind", FIVE)
def test_hostile_frames_harm_only_their_own(stack, kind):
    async def scenario(client):
        for data in (b"\x83\x80mask", b"\xf1\x80mask", b"\x89\xfe\x00\x7emask" + b"x" * 126, b"\x80\x80mask",
                     b"\x01\x80mask\x81\x80mask"):
            async with connect(kind, stack.gateway.port) as victim:
                victim.socket.transport.write(data)
                code, _ = await victim.closed()
                assert code in (1000, 1002, 1006, 1007), data  # 1006: it went without a word
        await works(client)
    run(stack, kind, scenario)


@pytest.mark.parametrize("kind", FIVE)
def test_a_flood_of_garbage(stack, kind):
    """Each gets its error, in the end."""
    async def scenario(client):
        for number in range(1000):
            await client.send_raw("{" if number % 2 else "\0")
        for _ in range(1000):
            assert (await client.receive())["type"] == "error"
        await works(client)
    run(stack, kind, scenario)


@pytest.mark.parametrize("kind", FIVE)
def test_cut_off_in_the_middle(stack, kind):
    async def scenario():
        for cut in range(1, 60, 7):
            where = {"user": f"cut at {cut}"} if kind is Minimal else {}  # the whole ones are answered
            async with connect(kind, stack.gateway.port, **where) as client:
                frame = asking(kind, '"cut"').encode()
                client.socket.transport.write((b"\x81" + bytes([0x80 | len(frame)]) + b"\0\0\0\0" + frame)[:cut])
                await client.abandon()
        async with connect(kind, stack.gateway.port) as client:
            await works(client)
    asyncio.run(scenario())


# ---- Fields of one protocol alone

DEEP = [{"type": "Quote", "origin": []}]
for _ in range(40):
    DEEP = [{"type": "Quote", "origin": DEEP}]

OWN = {
    AgentEngine: [
        {"type": "tool_call", "tool_name": "\0", "params": {}}, {"type": "tool_call", "tool_name": "x" * 900000, "params": {}},
        {"type": "tool_call", "tool_name": "calculator", "params": [1]},
        {"type": "tool_call", "tool_name": "calculator", "params": {"expression": "(" * 10000}},
        {"type": "tool_call", "tool_name": "calculator", "params": {"expression": "9" * 500000}},
        {"type": "tool_call", "tool_name": "calculator", "params": {"expression": "1\0+1"}},
        {"type": "tool_call", "tool_name": "../calculator", "params": {}}, {"type": "tool_call", "tool_name": "*.>", "params": {}}],
    YYChat: [
        {"type": "text_message", "content": "x", "personality_id": "\0"},
        {"type": "text_message", "content": "x", "personality_id": "x" * 900000},
        {"type": "text_message", "content": "x", "personality_id": "../assistant"},
        {"type": "text_message", "content": "x", "stream": "true"}, {"type": "ping", "client_id": "x" * 900000},
        {"type": "ping", "client_id": "\0"}],
    Contact: [
        {"type": "contact_request", "message": ["x"] * 1000}, {"type": "contact_request", "message": "x", "userAgent": {}},
        {"type": "chat_message", "message": "x", "timestamp": [[]]}],
    LangBot: [
        {"message": [{"type": "Image", "base64": 5}]}, {"message": [{"type": "File", "name": [], "size": "x"}]},
        {"message": [{"type": "At", "target": {}}]}, {"message": [None] * 10000}, {"message": [[]]},
        {"message": [{"type": "Quote", "origin": [{"type": "Quote", "origin": 5}]}]},
        {"message": [{"type": "Unknown"}]}, {"message": DEEP}],
    Minimal: [{"query": "x", "token": "\0"}, {"query": "x", "token": ["x"]}],
}


@pytest.mark.parametrize("kind", FIVE)
def test_fields_of_its_own(stack, kind):
    async def scenario(client):
        for frame in OWN[kind]:
            await client.send(frame)
            frames = [await client.receive()]
            while not is_final(client, frames[-1]):
                frames.append(await client.receive())
            assert frames[-1]["type"] == "error", str(frame)[:100]
            await client.ping()
        await works(client)
    run(stack, kind, scenario)


def test_long_names_are_names_or_refused(stack):
    """Never cut short: what begins alike is not the same."""
    async def scenario(client):
        for length in (1000, 100000):
            for end in "ab":
                frames = await client.ask(f"{length}{end}", conversation_id="x" * length + end)
                if frames[-1]["type"] != "error":
                    assert client.text_of(frames) == f"You said: {length}{end}"
        await client.answer("nul", conversation_id="a\0b")
        await client.answer("surrogates", conversation_id="🙂")
        await works(client)
    run(stack, YYChat, scenario)


def test_hostile_chains_are_listed_as_they_came(stack):
    chains = [[{"type": "Plain", "text": "a \0 🙂", "more": "\0"}], [{"type": "\0", "text": "a"}], [*LangBot.chain("a")] * 5000,
              [{"type": "Image", "url": "http://127.0.0.1:1/" + "x" * 1000}, *LangBot.chain("a")],
              [*LangBot.chain("a"), {"type": "Image", "base64": "data:image/png;base64,!!!"}]]
    session = f"/api/v1/pipelines/{PIPELINE}/ws/{{}}/group"
    port = stack.gateway.port

    async def scenario(client):
        await asyncio.to_thread(rest, port, "POST", session.format("reset"))
        shown = []
        for chain in chains:
            await client.send({"message": [{"type": "At", "target": "websocketbot"}, *chain]})
            frames = [await client.receive()]
            while not is_final(client, frames[-1]):
                frames.append(await client.receive())
            assert frames[0]["type"] == "user_message", frames[0]
            assert frames[0]["data"]["message_chain"][1:] == chain
            shown.append(frames[0]["data"])
        status, answer = await asyncio.to_thread(rest, port, "GET", session.format("messages"))
        assert status == 200
        assert [message for message in answer["data"]["messages"] if message["role"] == "user"] == shown
    run(stack, LangBot, scenario, session="group")


# ---- Addresses and calls

@pytest.mark.parametrize("path", [
    "/ws/agent/", "/ws/chat/%00", "/ws/chat/%ff", "/ws/chat/%c0%80", "/ws/chat/a%0d%0aX:%20y", "/contact/", "/contact/x",
    "/api/v1/pipelines//ws/connect", "/api/v1/pipelines/%00/ws/connect", "/api/v1/pipelines/a/b/ws/connect",
    "/api/v1/pipelines/../../contact/..", "/ws/chat/" + "x" * 3000, "/" + "a/" * 1000, "/%", "/ws/agent%00"], ids=lambda p: p[:40])
def test_strange_addresses(stack, path):
    """Refused, or served as what they are; never a crash."""
    async def scenario():
        try:
            socket_ = await websockets.connect(f"ws://127.0.0.1:{stack.gateway.port}{path}", open_timeout=10)
            await socket_.close()
        except websockets.InvalidStatusCode as refused:
            assert refused.status_code in (400, 404, 414, 431)
        async with connect(AgentEngine, stack.gateway.port) as client:
            await works(client)
    asyncio.run(scenario())


@pytest.mark.parametrize("body", [
    b"", b"\0", b"{", b"[" * 100000, b'{"a":' * 10000, b'{"message":"\xff"}', b'{"message":"\\ud800"}', b'"message"', b"null",
    b'{"message":1,"message":2}'], ids=lambda body: repr(body[:20]))
@pytest.mark.parametrize("path", [f"/api/v1/pipelines/{PIPELINE}/ws/broadcast", "/api/v1/contacts/broadcast"])
def test_bodies_that_are_none(stack, path, body):
    assert rest(stack.gateway.port, "POST", path, body)[0] == 400
    assert get(stack.gateway.port, "/ws/status")[0] == 200


@pytest.mark.parametrize("path", [f"/api/v1/pipelines/{PIPELINE}/ws/broadcast", "/api/v1/contacts/broadcast"])
def test_a_body_too_large_is_413(stack, path):
    with socket.create_connection(("127.0.0.1", stack.gateway.port), 10) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {1 << 40}\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 413 ")


def test_nothing_broke(stack):
    """Every protocol once more, and no process has started anew."""
    async def scenario():
        for kind in FIVE:
            async with connect(kind, stack.gateway.port) as client:
                await works(client)
    asyncio.run(scenario())
    assert all(process.running for process in stack.services)
