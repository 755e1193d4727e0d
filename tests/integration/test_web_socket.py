"""services/common/web.h, through web_fixture.c: WebSocket as RFC 6455 has it, its handshake, and what peers do that keep to
none of it. Autobahn's numbers stand where a case is one of its suite's."""

import asyncio
import struct
import time

import pytest
import websockets

from process import wait_until
from web_server import BINARY, CLOSE, CONT, KEY, PING, PONG, TEXT, Raw, frame, handshake, raw, read_response, request


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 255, 256, 257, 4096, 65535, 65536, 1 << 20])
def test_sizes(server, size):  # 1.1
    with Raw(server) as ws:
        ws.send(frame(TEXT, b"*" * size))
        assert ws.read() == (TEXT, b"*" * size)
        ws.send(frame(BINARY, b"\xfe" * size))  # 1.2
        assert ws.read() == (TEXT, b"!binary %d" % size)


def test_messages_that_come_with_the_handshake(server):
    messages = [b"m%d" % i for i in range(200)]
    with Raw(server, b"".join(frame(TEXT, m) for m in messages)) as ws:
        assert [ws.read()[1] for _ in messages] == messages


def test_message_split_at_every_byte(server):
    data = frame(TEXT, "grüße 😀 ".encode() * 20)
    with Raw(server) as ws:
        for i in range(1, len(data)):
            ws.send(data[:i])
            time.sleep(0.0003)
            ws.send(data[i:])
            assert ws.read() == (TEXT, "grüße 😀 ".encode() * 20)


def test_message_byte_by_byte(server):
    with Raw(server) as ws:
        for byte in frame(TEXT, "日本".encode()) + frame(PING, b"p") + frame(TEXT, b"x" * 200):
            ws.send(bytes([byte]))
        got = [ws.read() for _ in range(3)]
        assert sorted(got) == sorted([(TEXT, "日本".encode()), (PONG, b"p"), (TEXT, b"x" * 200)])


def test_fragments_with_control_frames_between(server):  # 5.6 to 5.8, 5.19
    text = "fragmented κόσμε 😀".encode()
    with Raw(server) as ws:
        for n in range(1, len(text)):
            pieces = [text[i:i + n] for i in range(0, len(text), n)]
            ws.send(frame(TEXT, b"", fin=False))
            for piece in pieces:
                ws.send(frame(CONT, piece, fin=False))
            ws.send(frame(PING, b"between"))
            assert ws.read() == (PONG, b"between")
            ws.send(frame(CONT))
            assert ws.read() == (TEXT, text)


def test_pings(server):  # 2.1 to 2.4, 2.7
    with Raw(server) as ws:
        for payload in (b"", b"hello", bytes(range(125)), b"\0\xff\xfe"):
            ws.send(frame(PING, payload))
            assert ws.read() == (PONG, payload)
        ws.send(frame(PONG, b"unasked"))
        assert ws.read() == (TEXT, b"!ponged")
        # RFC 6455, section 5.5.3, asks for one pong at least.
        ws.send(*(frame(PING, b"%d" % i) for i in range(5)), frame(TEXT, b"after"))
        got = ws.read(), ws.read()
        assert (TEXT, b"after") in got and any(opcode == PONG for opcode, _ in got)


def test_ping_of_ours(server):
    with Raw(server) as ws:
        ws.send(frame(TEXT, b"!ping"))
        opcode, payload = ws.read()
        assert opcode == PING and payload
        ws.send(frame(PONG, payload))
        assert ws.read() == (TEXT, b"!ponged")


def test_pong_comes_while_much_is_sent(server):
    with Raw(server) as ws:
        ws.send(frame(TEXT, b"!many 2000 1000"), frame(PING, b"now"))
        opcodes = []
        while PONG not in opcodes:
            opcodes.append(ws.read()[0])
        assert len(opcodes) < 500


PROTOCOL_ERRORS = {
    "3.2 RSV2": [frame(TEXT, b"x", rsv=2)],
    "3.5 RSV1 and 3": [frame(BINARY, b"x", rsv=5)],
    "3.1 RSV1, no extension": [frame(TEXT, b"x", rsv=4)],
    "3.6 RSV on a ping": [frame(PING, b"x", rsv=6)],
    **{f"4.1 opcode {n}": [frame(n, b"x")] for n in (3, 4, 5, 6, 7)},
    **{f"4.2 opcode {n}": [frame(n, b"x")] for n in (11, 12, 13, 14, 15)},
    "5.1 fragmented ping": [frame(PING, b"x", fin=False)],
    "5.2 fragmented pong": [frame(PONG, b"x", fin=False)],
    "5.9 continuation of nothing": [frame(CONT, b"x")],
    "5.10 continuation of nothing, open": [frame(CONT, b"x", fin=False)],
    "5.18 text inside a text": [frame(TEXT, b"x", fin=False), frame(TEXT, b"y")],
    "binary inside a text": [frame(TEXT, b"x", fin=False), frame(BINARY, b"y")],
}


@pytest.mark.parametrize("name", PROTOCOL_ERRORS)
def test_protocol_errors(server, name):
    with Raw(server) as ws:
        ws.send(*PROTOCOL_ERRORS[name])
        assert ws.closed_with() == 1002
    assert server.http("GET", "/http")[0] == 200


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
def test_long_control_frames(server, opcode):  # 2.5, 7.3.6
    with Raw(server) as ws:
        ws.send(frame(opcode, b"\x03\xe8" + b"x" * 124))
        assert ws.closed_with() in (1002, None)


BAD_UTF8 = [b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited", b"\xc0\xaf", b"\xff", b"\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80",
            b"\xe0\x80\xaf", b"abc\xe2\x82"]


@pytest.mark.parametrize("bad", BAD_UTF8)
def test_bad_utf8(server, bad):  # 6.3, 6.4, 6.6 and following
    for pieces in ([bad], [bad[:1], bad[1:]], [bytes([b]) for b in bad], [bad, b""], [b"", bad],
                   [bad[:-1], b"", bad[-1:], b""]):
        with Raw(server) as ws:
            ws.send(*(frame(CONT if i else TEXT, p, fin=i == len(pieces) - 1) for i, p in enumerate(pieces)))
            assert ws.closed_with() == 1007


@pytest.mark.parametrize("good", ["κόσμε", "\0", "\U0010ffff", "\ufffe", "\ud7ff\ue000", "\U0001f600" * 300])
def test_good_utf8(server, good):
    with Raw(server) as ws:
        for size in (1, 2, 3, 255, 256, 257):
            data = good.encode()
            pieces = [data[i:i + size] for i in range(0, len(data), size)]
            ws.send(*(frame(CONT if i else TEXT, p, fin=i == len(pieces) - 1) for i, p in enumerate(pieces)))
            assert ws.read() == (TEXT, data)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
def test_valid_close_codes(server, code):  # 7.7
    with Raw(server) as ws:
        ws.send(frame(CLOSE, struct.pack(">H", code) + "grüße".encode()))
        assert ws.read() == (CLOSE, struct.pack(">H", code) + "grüße".encode())
        assert ws.read() is None


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999])
def test_invalid_close_codes(server, code):  # 7.9
    with Raw(server) as ws:
        ws.send(frame(CLOSE, struct.pack(">H", code)))
        assert ws.read()[1][:2] == struct.pack(">H", 1002)


def test_close_without_code_or_with_half_of_one(server):  # 7.3.1, 7.3.2
    with Raw(server) as ws:
        ws.send(frame(CLOSE))
        assert ws.read() == (CLOSE, b"")
    with Raw(server) as ws:
        ws.send(frame(CLOSE, b"\x03"))
        assert ws.closed_with() == 1002
    with Raw(server) as ws:  # 7.5.1
        ws.send(frame(CLOSE, b"\x03\xe8\xff"))
        assert ws.closed_with() in (1007, 1002, None)


def test_nothing_is_heard_after_a_close(server):  # 7.1.3 to 7.1.5
    with Raw(server) as ws:
        ws.send(frame(TEXT, b"x", fin=False), frame(CLOSE, b"\x03\xe8"), frame(CONT, b"y"), frame(PING, b"p"))
        assert ws.read() == (CLOSE, b"\x03\xe8")
        assert ws.read() is None


@pytest.mark.parametrize("code, reason", [(1000, ""), (1001, "going"), (4321, "é" * 61), (4000, "x" * 200), (3000, "é" * 100)])
def test_close_with_code_and_reason(server, code, reason):
    with Raw(server) as ws:
        ws.send(frame(TEXT, f"!close {code} {reason}".encode()))
        cut = reason.encode()[:123].decode(errors="ignore").encode()
        assert ws.read() == (CLOSE, struct.pack(">H", code) + cut)
        ws.send(frame(CLOSE, struct.pack(">H", code)))
        assert ws.read() is None


def test_close_after_what_is_still_to_be_sent(server):
    with Raw(server) as ws:
        ws.send(frame(TEXT, b"!big 9000000"))
        assert server.http("GET", "/http")[0] == 200
        ws.send(frame(TEXT, b"!close 1008 slow"))
        time.sleep(0.2)
        assert ws.read() == (TEXT, b"x" * 9000000)
        assert ws.read() == (CLOSE, struct.pack(">H", 1008) + b"slow")


def test_close_does_not_wait_for_a_peer_that_does_not_read(server):
    before = server.stats()
    with Raw(server) as ws:
        ws.send(frame(TEXT, b"!big 9000000"))
        time.sleep(0.1)
        ws.send(frame(TEXT, b"!close 1008 slow"))
        wait_until(lambda: server.stats()["closed"] == before["closed"] + 1, 15)


def test_too_large_is_refused_before_it_comes(server):
    limit = 1 << 20
    for data in (frame(TEXT, b"x" * 10, length=limit + 1), frame(TEXT, b"x" * 10, length=(1 << 63) - 1),
                 frame(BINARY, b"x" * 300, length=1 << 40),
                 frame(TEXT, b"a" * limit, fin=False) + frame(CONT, b"b"),
                 b"".join(frame(CONT if i else TEXT, b"x" * 1000, fin=False) for i in range(1100))):
        with Raw(server) as ws:
            ws.send(data)
            assert ws.closed_with() == 1009
    with Raw(server) as ws:
        ws.send(frame(TEXT, b"a" * (limit - 1), fin=False), frame(CONT, b"b"))
        assert ws.read() == (TEXT, b"a" * (limit - 1) + b"b")


def test_length_with_the_highest_bit(server):
    with Raw(server) as ws:
        ws.send(frame(TEXT, b"x", length=1 << 63))
        assert ws.closed_with() in (1002, 1009, None)


BAD_HANDSHAKES = {
    "no key": (dict(key=None), 400),
    "short key": (dict(key="AAAA"), 400),
    "key with bad characters": (dict(key="dGhlIHNhbXBsZSBub25j!Q=="), 400),
    "two keys": (dict(extra=[f"Sec-WebSocket-Key: {KEY}"]), 400),
    "no version": (dict(version=None), 400),
    "version 8": (dict(version="8"), 426),
    "version 14": (dict(version="14"), 426),
    "version 13, 8": (dict(version="13, 8"), 426),
    "POST": (dict(method="POST"), 400),
    "not found": (dict(path="/elsewhere"), 404),
    "refused 401": (dict(path="/refuse/401"), 401),
    "refused 403": (dict(path="/refuse/403"), 403),
    "refused 503": (dict(path="/refuse/503"), 503),
}


@pytest.mark.parametrize("name", BAD_HANDSHAKES)
def test_bad_handshakes(server, name):
    arguments, status = BAD_HANDSHAKES[name]
    got, headers, body = raw(server, handshake(**arguments))
    assert got == status and body
    assert headers.get("www-authenticate") == ("Bearer" if status == 401 else None)
    if status == 426:
        assert headers["sec-websocket-version"] == "13"


def test_handshake_variants(server):
    with server.connect() as s:  # after another request, in other cases, with what the server does not speak
        f = s.makefile("rb")
        s.sendall(request("GET", "/http") + b"GET /echo?hello=x HTTP/1.1\r\nhOsT: x\r\nUPGRADE: WebSocket\r\n"
                  b"connection:upgrade\r\nsec-websocket-key:  " + KEY.encode() + b"\r\nSec-WebSocket-Version:13\r\n"
                  b"Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Protocol: chat\r\n\r\n")
        assert read_response(f)[0] == 200
        status, headers, _ = read_response(f)
        assert status == 101 and "sec-websocket-extensions" not in headers and "sec-websocket-protocol" not in headers
        assert f.read(2)[0] == 0x81
    # An upgrade on HTTP/1.0 is none.
    with server.connect() as s:
        s.sendall(handshake("/http", http="1.0"))
        assert read_response(s.makefile("rb"))[0] == 200


def test_python_client(server):
    async def talk():
        async with websockets.connect(server.url("/echo?hello=%C3%A9+%26"), max_size=None) as ws:
            assert await ws.recv() == f"hello é & from 127.0.0.1 on {server.port}"
            for text in ("", "short", "ü" * 500000, "\U0001f600\0" * 1000):
                await ws.send(text)
                assert await ws.recv() == text
            await (await ws.ping("x"))
            await ws.send("!many 5000 20")
            for i in range(5000):
                assert await ws.recv() == f"{i}:{'y' * 20}"
            await ws.send("!close 4001 enough")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await ws.recv()
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4001, "enough")

    asyncio.run(talk())
