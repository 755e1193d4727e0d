"""services/common/web.h, through web_fixture.c: WebSocket and HTTP as RFC 6455 and RFC 9112 have it, and what peers do
that keep to neither. Autobahn's numbers stand where a case is one of its suite's."""
import asyncio
import contextlib
import json
import os
import pathlib
import resource
import signal
import socket
import struct
import subprocess
import time

import pytest
import websockets

FIXTURE = pathlib.Path(os.environ["PARLEY_BUILD"]) / "bin" / "web_fixture"
CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Server:
    all = []

    def __init__(self, *options, limit_files=None):
        def limits():
            if limit_files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit_files, limit_files))

        self.process = subprocess.Popen([FIXTURE, *map(str, options)], stdout=subprocess.PIPE, text=True,
                                        preexec_fn=limits)
        Server.all.append(self)
        self.port = int(self.process.stdout.readline())

    def connect(self):
        s = socket.create_connection(("127.0.0.1", self.port), timeout=15)
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return s

    def url(self, path="/echo"):
        return f"ws://127.0.0.1:{self.port}{path}"

    def stats(self):
        return json.loads(self.http("GET", "/stats")[2])

    def http(self, method, path, body=b"", headers=()):
        with self.connect() as s:
            s.sendall(request(method, path, body, headers))
            return read_response(s.makefile("rb"), method)

    def stop(self):
        """Ends it with whatever is still open; a leak or a race would show in the exit code."""
        self.process.send_signal(signal.SIGTERM)
        assert self.process.wait(20) == 0


@pytest.fixture(scope="module")
def server(leftovers):
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="module", autouse=True)
def leftovers():
    yield
    for server in Server.all:
        server.process.kill()


def wait_until(condition, seconds=10):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not come true"
        time.sleep(0.01)


# ---- HTTP

def request(method, path, body=b"", headers=(), version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", "Host: x", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def read_response(f, method="GET"):
    line = f.readline()
    if not line:
        raise EOFError
    status = int(line.split()[1])
    headers = {}
    for line in iter(f.readline, b"\r\n"):
        name, value = line.decode().strip().split(": ", 1)
        headers[name.lower()] = value
    if method == "HEAD" or status in (101, 100, 204, 304):
        body = b""
    elif headers.get("transfer-encoding") == "chunked":
        body = b""
        while size := int(f.readline(), 16):
            body += f.read(size)
            assert f.read(2) == b"\r\n"
        assert f.readline() == b"\r\n"
    elif "content-length" in headers:
        body = f.read(int(headers["content-length"]))
    else:
        body = f.read()
    return status, headers, body


def raw(server, data):
    """The one response to `data`, after which the connection must end."""
    with server.connect() as s:
        s.sendall(data)
        f = s.makefile("rb")
        response = read_response(f)
        assert f.read() == b""
        return response


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_methods_and_bodies(server, method):
    status, headers, body = server.http(method, "/http/a%20b%C3%A4?x=1&a=1%2B+2&a=3", b"some body",
                                        ["Content-Type: text/x"])
    assert (status, body.decode()) == (200, f"{method} /http/a bä a=1+ 2 type=text/x 9:some body")
    assert headers["content-length"] == str(len(body))
    assert headers["content-type"] == "text/plain"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-fixture"] == "yesX-Injected: no"


def test_head_has_no_body(server):
    with server.connect() as s:
        s.sendall(request("HEAD", "/http") + request("HEAD", "/stream?n=3&size=5") + request("GET", "/http"))
        f = s.makefile("rb")
        status, headers, _ = read_response(f, "HEAD")
        assert status == 200 and int(headers["content-length"]) > 0
        assert read_response(f, "HEAD")[0] == 200
        assert read_response(f)[2] == b"GET /http a=- type=- 0:"


def test_every_split_of_a_request(server):
    data = request("POST", "/http", b"abc")
    with server.connect() as s:
        f = s.makefile("rb")
        for i in range(1, len(data)):
            s.sendall(data[:i])
            time.sleep(0.0005)
            s.sendall(data[i:])
            assert read_response(f)[2] == b"POST /http a=- type=- 3:abc"


def test_pipelined_requests_are_answered_in_order(server):
    with server.connect() as s:
        s.sendall(b"".join(request("POST", f"/{'later' if i % 3 == 0 else 'http'}/{i}"[:6] + f"?a={i}", b"%d" % i)
                           for i in range(40)))
        f = s.makefile("rb")
        for i in range(40):
            body = read_response(f)[2].decode()
            assert f"a={i} " in body and body.endswith(f":{i}")


def test_empty_lines_before_a_request(server):
    with server.connect() as s:
        s.sendall(b"\r\n" + request("GET", "/http") + b"\r\n\r\n" + request("GET", "/http"))
        f = s.makefile("rb")
        assert [read_response(f)[0] for _ in range(2)] == [200, 200]


def test_answer_that_comes_later(server):
    assert server.http("POST", "/later", b"x")[2] == b"POST /later a=- type=- 1:x"


def test_stream(server):
    status, headers, body = server.http("GET", "/stream?n=20&size=1000")
    assert (status, body) == (200, b"s" * 20000)
    assert headers["transfer-encoding"] == "chunked"


def test_http_1_0(server):
    status, headers, body = raw(server, request("GET", "/stream?n=3&size=7", version="1.0"))
    assert (status, body) == (200, b"s" * 21) and "transfer-encoding" not in headers
    assert raw(server, b"GET /http HTTP/1.0\r\n\r\n")[0] == 200
    with server.connect() as s:
        f = s.makefile("rb")
        for _ in range(2):
            s.sendall(request("GET", "/http", headers=["Connection: Keep-Alive"], version="1.0"))
            assert read_response(f)[1]["connection"] == "keep-alive"


def test_large_bodies_both_ways(server):
    body = bytes(range(256)) * 24000
    status, _, answer = server.http("POST", "/http", body)
    assert status == 200 and answer.endswith(body)
    assert server.http("GET", "/big?n=6000000")[2] == b"b" * 6000000


def test_slow_reader_of_a_large_body(server):
    with server.connect() as s:
        s.sendall(request("GET", "/big?n=30000000", headers=["Connection: close"]))
        time.sleep(0.2)
        assert server.http("GET", "/http")[0] == 200
        assert len(read_response(s.makefile("rb"))[2]) == 30000000


def test_expect_continue(server):
    with server.connect() as s:
        s.sendall(request("POST", "/http", headers=["Expect: 100-continue", "Content-Length: 3"]))
        f = s.makefile("rb")
        assert read_response(f)[0] == 100
        s.sendall(b"abc")
        assert read_response(f)[2].endswith(b":abc")
    assert raw(server, request("POST", "/http", headers=["Expect: miracles"]))[0] == 417


def test_half_closed_client_gets_its_answer(server):
    with server.connect() as s:
        s.sendall(request("GET", "/big?n=3000000"))
        s.shutdown(socket.SHUT_WR)
        assert len(read_response(s.makefile("rb"))[2]) == 3000000


@pytest.mark.parametrize("path", ["/never", "/endless?size=50000", "/endless?size=0"])
def test_end_is_told_when_the_client_goes(server, path):
    before = server.stats()
    s = server.connect()
    s.sendall(request("GET", path))
    wait_until(lambda: server.stats()["requests"] > before["requests"] + 1)
    assert server.stats()["count"] == 2
    s.close()
    wait_until(lambda: server.stats()["gone"] == before["gone"] + 1)
    assert server.stats()["count"] == 1


def test_endless_stream_is_not_kept_in_memory_without_bound(server):
    with server.connect() as s:
        s.sendall(request("GET", "/endless?size=100000"))
        time.sleep(0.3)
        assert s.recv(5) == b"HTTP/"
        assert server.http("GET", "/http")[0] == 200


BAD_HEADS = {
    "no version": (b"GET /http\r\n\r\n", 400),
    "HTTP/2.0": (b"GET /http HTTP/2.0\r\nHost: x\r\n\r\n", 505),
    "bad version": (b"GET /http HTTQ/1.1\r\nHost: x\r\n\r\n", 400),
    "two spaces": (b"GET  /http HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "no Host": (b"GET /http HTTP/1.1\r\n\r\n", 400),
    "two Hosts": (request("GET", "/http", headers=["Host: y"]), 400),
    "CONNECT": (request("CONNECT", "x:80"), 501),
    "TRACE": (request("TRACE", "/http"), 501),
    "lower case": (request("get", "/http"), 501),
    "odd method": (request("G@T", "/http"), 400),
    "bare LF": (b"GET /http HTTP/1.1\nHost: x\n\n", 400),
    "folded": (request("GET", "/http", headers=["A: b", " c"]), 400),
    "space before colon": (request("GET", "/http", headers=["A : b"]), 400),
    "no colon": (request("GET", "/http", headers=["abc"]), 400),
    "empty name": (request("GET", "/http", headers=[": b"]), 400),
    "control character": (request("GET", "/http", headers=["A: b\x01c"]), 400),
    "zero byte": (request("GET", "/http", headers=["A: b\0c"]), 400),
    "CR inside": (request("GET", "/http", headers=["A: b\rc"]), 400),
    "path with %00": (request("GET", "/http%00"), 400),
    "path with %0a": (request("GET", "/http%0a"), 400),
    "path with %zz": (request("GET", "/http%zz"), 400),
    "path cut in %": (request("GET", "/http%4"), 400),
    "path without /": (request("GET", "http"), 400),
    "fragment": (request("GET", "/http#a"), 400),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "Transfer-Encoding": (request("POST", "/http", headers=["Transfer-Encoding: chunked"]) + b"0\r\n\r\n", 411),
    "Content-Length -1": (request("POST", "/http", headers=["Content-Length: -1"]), 400),
    "Content-Length +1": (request("POST", "/http", headers=["Content-Length: +1"]), 400),
    "Content-Length 1,1": (request("POST", "/http", headers=["Content-Length: 1,1"]), 400),
    "Content-Length empty": (request("POST", "/http", headers=["Content-Length:"]), 400),
    "Content-Length 0x1": (request("POST", "/http", headers=["Content-Length: 0x1"]), 400),
    "Content-Length twice": (request("POST", "/http", b"a", headers=["Content-Length: 1"]), 400),
    "Content-Length huge": (request("POST", "/http", headers=["Content-Length: 18446744073709551617"]), 413),
    "Content-Length above the limit": (request("POST", "/http", headers=["Content-Length: 8388609"]), 413),
    "large head": (request("GET", "/http", headers=["A: " + "b" * 20000]), 431),
    "many headers": (request("GET", "/http", headers=["A: b"] * 100), 431),
    "endless line": (b"GET /" + b"a" * 30000, 431),
}


@pytest.mark.parametrize("name", BAD_HEADS)
def test_bad_requests_are_answered(server, name):
    data, status = BAD_HEADS[name]
    assert raw(server, data)[0] == status
    # The same as a second request on a connection.
    with server.connect() as s:
        s.sendall(request("GET", "/http") + data)
        f = s.makefile("rb")
        assert read_response(f)[0] == 200
        assert read_response(f)[0] == status
        assert f.read() == b""


def test_header_whose_name_is_the_beginning_of_a_known_one(server):
    for name in ("X", "X-A", "Co", "Sec-WebSocket", "Content-L", "G"):
        assert server.http("POST", "/http", b"abc", [f"{name}: y"])[2].endswith(b" 3:abc")


def test_upgrade_to_something_else_is_ignored(server):
    # Where libwebsockets parsed HTTP, this was CVE-2025-11677.
    for protocol in ("foo", "h2c", "TLS/1.0"):
        with server.connect() as s:
            f = s.makefile("rb")
            for extra in ([], ["Connection: Upgrade, HTTP2-Settings", f"Upgrade: {protocol}", "HTTP2-Settings: AAA"]):
                s.sendall(request("GET", "/http", headers=extra))
                assert read_response(f)[0] == 200


def test_absolute_form(server):
    assert server.http("GET", "http://example.org:80/http?a=1")[2] == b"GET /http a=1 type=- 0:"


def test_slow_head_is_answered_408(server):
    with server.connect() as s:
        s.sendall(b"GET /http HT")
        assert read_response(s.makefile("rb"))[0] == 408


# ---- WebSocket, raw

def frame(opcode, payload=b"", fin=True, rsv=0, mask=b"\x11\x22\x33\x44", length=None):
    length = len(payload) if length is None else length
    head = bytes([fin << 7 | rsv << 4 | opcode])
    bit = 0x80 if mask else 0
    if length < 126:
        head += bytes([bit | length])
    elif length < 65536:
        head += bytes([bit | 126]) + struct.pack(">H", length)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", length)
    if not mask:
        return head + payload
    key = (mask * (len(payload) // 4 + 1))[:len(payload)]
    masked = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
    return head + mask + masked.to_bytes(len(payload), "big")


def handshake(path="/echo", key=KEY, version="13", extra=(), method="GET", http="1.1"):
    headers = ["Connection: keep-alive, Upgrade", "Upgrade: websocket"]
    headers += [f"Sec-WebSocket-Key: {key}"] if key is not None else []
    headers += [f"Sec-WebSocket-Version: {version}"] if version is not None else []
    return request(method, path, headers=[*headers, *extra], version=http)


class Raw:
    def __init__(self, server, first=b"", path="/echo"):
        self.s = server.connect()
        self.f = self.s.makefile("rb")
        self.s.sendall(handshake(path) + first)
        status, headers, _ = read_response(self.f)
        assert status == 101
        assert headers["sec-websocket-accept"] == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.f.close()
        self.s.close()

    def send(self, *frames):
        self.s.sendall(b"".join(frames))

    def read(self):
        """(opcode, payload), or None at the end of the connection."""
        try:
            head = self.f.read(2)
            if len(head) < 2:
                return None
            length = head[1]
            assert not length & 0x80, "servers don't mask"
            assert head[0] & 0x80, "ours are never fragmented"
            if length == 126:
                length = struct.unpack(">H", self.f.read(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", self.f.read(8))[0]
            return head[0] & 0x0f, self.f.read(length)
        except ConnectionResetError:
            return None

    def closed_with(self):
        """The code that the server closes with; None where it just ends the connection."""
        while got := self.read():
            if got[0] == CLOSE:
                self.send(frame(CLOSE, got[1][:2]))
                return struct.unpack(">H", got[1][:2])[0] if got[1] else 1005
        return None


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


# ---- many, slow, rude

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


def test_slow_reader_harms_nobody(server):
    with Raw(server) as slow:
        slow.send(frame(TEXT, b"!many 3000 10000"))
        with Raw(server) as other:
            for i in range(100):
                start = time.monotonic()
                other.send(frame(TEXT, b"hello"))
                assert other.read() == (TEXT, b"hello")
                assert time.monotonic() - start < 1
        for i in range(3000):
            assert slow.read() == (TEXT, b"%d:" % i + b"y" * 10000)


def test_resets(server):
    before = server.stats()
    for i in range(50):
        ws = Raw(server)
        ws.send(frame(TEXT, b"!many 10000 1000"), frame(TEXT, b"x" * 100, length=1000)[:60])
        ws.s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        if i % 2:
            ws.read()
        ws.f.close()
        ws.s.close()
    wait_until(lambda: server.stats()["closed"] == before["closed"] + 50)
    assert server.stats()["count"] == 1


def test_2000_connections():
    server = Server(2100)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    clients = [Raw(server) for _ in range(2000)]
    assert server.stats()["count"] == 2001
    for client in clients:
        client.send(frame(TEXT, b"all"))
    assert all(client.read() == (TEXT, b"all") for client in clients)
    server.stop()  # with all of them open
    for client in clients:
        with client:
            assert client.closed_with() is None


def test_503_above_the_limit():
    server = Server(5)
    clients = [Raw(server) for _ in range(5)]
    for data in (b"", request("GET", "/http"), handshake(), b"x" * 100000):
        with server.connect() as s:
            try:
                s.sendall(data)
            except ConnectionError:
                pass
            assert read_response(s.makefile("rb"))[0] == 503
    clients[0].s.close()
    clients[0].f.close()
    wait_until(lambda: b"200" in raw_status(server))
    server.stop()
    for client in clients[1:]:
        client.__exit__()


def raw_status(server):
    """The status line, or nothing where the server has no descriptor for it."""
    try:
        with server.connect() as s:
            s.sendall(request("GET", "/http"))
            return s.makefile("rb").readline()
    except ConnectionError:
        return b""


def test_without_descriptors_it_does_not_spin():
    server = Server(1000, limit_files=60)
    sockets = [server.connect() for _ in range(200)]
    time.sleep(0.3)

    def cpu():
        fields = pathlib.Path(f"/proc/{server.process.pid}/stat").read_text().rsplit(") ")[1].split()
        return int(fields[11]) + int(fields[12])

    start = cpu()
    time.sleep(0.5)
    assert cpu() - start < 10  # hundredths of a second
    for s in sockets:
        s.close()
    wait_until(lambda: b"200" in raw_status(server))
    server.stop()


def test_a_message_must_be_finished_in_time():
    server = Server(100, 1 << 20, 1 << 20, 1500)
    with Raw(server) as slow, Raw(server) as closing, Raw(server) as other:
        slow.send(frame(TEXT, b"x" * 1000, fin=False))
        closing.send(frame(TEXT, b"x" * 1000, fin=False), frame(CLOSE, b"\x03\xe8"))
        for size in (1000, 100000):
            other.send(frame(TEXT, b"y" * size))
            assert other.read() == (TEXT, b"y" * size)
        assert closing.closed_with() == 1000
        assert slow.closed_with() == 1008
        other.send(frame(TEXT, b"y" * 1000, fin=False), frame(CONT, b"z"))
        assert other.read() == (TEXT, b"y" * 1000 + b"z")
    server.stop()


def test_unfinished_messages_have_one_budget():
    server = Server(100, 1 << 20, 1 << 20, 60000, 4 << 20)
    with contextlib.ExitStack() as stack:
        holders = [stack.enter_context(Raw(server)) for _ in range(8)]
        for holder in holders[:7]:
            holder.send(frame(TEXT, b"x" * 500_000, fin=False))
            holder.send(frame(PING))
            assert holder.read() == (PONG, b"")
        holders[7].send(frame(TEXT, b"x" * 1_000_000, fin=False))
        assert holders[7].closed_with() == 1008
        assert server.http("POST", "/http", b"x" * 1_000_000)[0] == 503
        assert server.http("POST", "/http", b"x" * 1000)[0] == 200
        for holder in holders[:7]:
            holder.send(frame(CONT, b"y"))
            assert holder.read() == (TEXT, b"x" * 500_000 + b"y")
        assert server.http("POST", "/http", b"x" * 1_000_000)[0] == 200
        with Raw(server) as again:
            again.send(frame(TEXT, b"x" * 1_000_000))
            assert again.read()[0] == TEXT
    server.stop()


def test_stop_listening_leaves_what_is_open():
    server = Server()
    with Raw(server) as ws:
        server.process.send_signal(signal.SIGUSR1)

        def refused():
            try:
                server.connect().close()
                return False
            except ConnectionRefusedError:
                return True

        wait_until(refused)
        ws.send(frame(TEXT, b"still here"))
        assert ws.read() == (TEXT, b"still here")
        server.stop()


def test_freed_while_everything_is_open():
    server = Server()
    sockets = []
    for path in ("/never", "/endless?size=100000", "/later", "/big?n=9000000"):
        sockets.append(server.connect())
        sockets[-1].sendall(request("GET", path))
    for data in (b"", b"GET /", request("POST", "/http", headers=["Content-Length: 10"]), b"bad\r\n\r\n"):
        sockets.append(server.connect())
        sockets[-1].sendall(data)
    clients = [Raw(server) for _ in range(6)]
    clients[0].send(frame(TEXT, b"!big 9000000"))
    clients[1].send(frame(TEXT, b"x" * 1000, fin=False))
    clients[2].send(frame(TEXT, b"!close 4000 now"))
    clients[3].send(frame(TEXT, b"!big 9000000"), frame(TEXT, b"!close 4000 now"))
    clients[4].send(frame(TEXT, b"!many 100000 1000"))
    clients[5].send(frame(CLOSE, b"\x03\xe8"))
    assert server.http("GET", "/http")[0] == 200
    server.stop()
    for s in sockets:
        s.close()
    for client in clients:
        client.__exit__()
