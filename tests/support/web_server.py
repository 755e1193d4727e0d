"""web_fixture, a small server on services/common/web.h, and clients that speak HTTP and WebSocket byte by byte: so they
can break every rule.

    server = Server()
    with Raw(server) as socket:
        socket.send(frame(TEXT, b"hello"))
        assert socket.read() == (TEXT, b"hello")
    server.stop()
"""

import json
import os
import resource
import signal
import socket
import struct
import subprocess

from process import LAUNCHER
from stack import BUILD

CONT, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


class Server:
    """`options`: the fixture's own, in order. `limit_files`: how many descriptors it may have."""

    def __init__(self, *options, limit_files=None):
        def limits():
            if limit_files:
                resource.setrlimit(resource.RLIMIT_NOFILE, (limit_files, limit_files))

        argv = ["setpriv", "--pdeathsig", "KILL", os.path.join(BUILD, "bin", "web_fixture"), *map(str, options)]
        self.process = LAUNCHER.submit(subprocess.Popen, argv, stdout=subprocess.PIPE, text=True,
                                       preexec_fn=limits).result()
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


# ---- WebSocket

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
