"""services/common/web.h, through web_fixture.c: HTTP as RFC 9112 has it, and what peers do that keep to none of it."""

import socket
import time

import pytest

from process import wait_until
from web_server import raw, read_response, request


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
