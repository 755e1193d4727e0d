"""services/common/web.h, through web_fixture.c: peers that are many, slow or rude, limits, and ending with all that open."""

import contextlib
import pathlib
import resource
import signal
import socket
import struct
import time

from process import wait_until
from web_server import CLOSE, CONT, PING, PONG, TEXT, Raw, Server, frame, handshake, read_response, request


def test_slow_reader_harms_nobody(server):
    with Raw(server) as slow:
        slow.send(frame(TEXT, b"!many 3000 10000"))
        with Raw(server) as other:
            for i in range(100):
                other.send(frame(TEXT, b"hello"))
                assert other.read() == (TEXT, b"hello")
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
            except ConnectionResetError:  # at the very moment
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
