"""The two ends of a measurement, each a process of its own: a model server that streams tokens at a steady rate, and
clients that read them. They share nothing but the clock.

    traffic.py model RATE                       prints its port; RATE: tokens a second in each stream
    traffic.py clients KIND HOST PORT COUNT SECONDS
                                                KIND: direct (the model server itself, HTTP) or parley (/ws/agent);
                                                prints one JSON object when it has measured

A token is `<when it was sent, ns of CLOCK_MONOTONIC>.<its number> `. A client asks for TOKENS_PER_ANSWER of them, and
asks again when it has them all. All are counted and checked; the latencies are those of the middle SECONDS, when every
client is at work.
"""

import asyncio
import json
import sys
import time

TOKENS_PER_ANSWER = 60
SPREAD_SECONDS = 3  # over which the clients begin
END = b"0\r\n\r\n"


# ---- The model server

class Model(asyncio.Protocol):
    """Answers each request with a stream, whatever it says."""

    def __init__(self, interval):
        self.interval = interval
        self.transport = None
        self.buffer = b""
        self.timer = None

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if not separator:
            return
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        if len(rest) >= length:
            self.buffer = rest[length:]
            self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
            self.send(0, asyncio.get_running_loop().time())

    def send(self, number, due):
        if number == TOKENS_PER_ANSWER:
            self.write(b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n', END)
            return
        self.write(b'data: {"choices":[{"index":0,"delta":{"content":"%d.%d "}}]}\n\n' % (time.monotonic_ns(), number))
        due += self.interval
        self.timer = asyncio.get_running_loop().call_at(due, self.send, number + 1, due)

    def write(self, event, end=b""):
        self.transport.write(b"%x\r\n%s\r\n%s" % (len(event), event, end))

    def connection_lost(self, _error):
        if self.timer:
            self.timer.cancel()


async def serve(rate):
    server = await asyncio.get_running_loop().create_server(lambda: Model(1 / rate), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


# ---- The clients

class Meter:
    """What all clients of a run have seen."""

    def __init__(self, begin_ns, end_ns):
        self.begin_ns = begin_ns
        self.end_ns = end_ns
        self.latencies_ns = []
        self.tokens = self.answers = self.wrong = 0

    def take(self, text, expected):
        """Tokens as they came; the number of the one expected next."""
        now = time.monotonic_ns()
        for token in text.split():
            sent, number = map(int, token.split("."))
            self.wrong += number != expected
            expected = number + 1
            self.tokens += 1
            if self.begin_ns <= sent < self.end_ns:
                self.latencies_ns.append(now - sent)
        return expected

    def end_answer(self, expected):
        self.answers += 1
        self.wrong += expected != TOKENS_PER_ANSWER

    def report(self):
        ordered = sorted(self.latencies_ns) or [0]
        pick = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1}
        milliseconds = {name: ordered[min(int(len(ordered) * part), len(ordered) - 1)] / 1e6 for name, part in pick.items()}
        return {**milliseconds, "tokens": self.tokens, "answers": self.answers, "wrong": self.wrong,
                "tokens_per_second": len(self.latencies_ns) * 1e9 / (self.end_ns - self.begin_ns)}


class Client(asyncio.Protocol):
    """One connection; what speaks a protocol is below."""

    def __init__(self, meter, address):
        self.meter = meter
        self.address = address
        self.transport = None
        self.buffer = b""
        self.expected = 0
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.begin()

    def data_received(self, data):
        self.buffer += data
        self.read()

    def connection_lost(self, _error):
        if not self.done.done():
            self.meter.wrong += 1
            self.done.set_result(None)

    def take(self, text):
        self.expected = self.meter.take(text, self.expected)

    def end_answer(self):
        self.meter.end_answer(self.expected)
        self.expected = 0
        if time.monotonic_ns() < self.meter.end_ns:
            self.ask()
        else:
            self.done.set_result(None)
            self.transport.close()


class Direct(Client):
    def begin(self):
        self.ask()

    def ask(self):
        body = b'{"model":"bench","stream":true,"messages":[{"role":"user","content":"Go on."}]}'
        self.transport.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n\r\n%s"
                             % (self.address, len(body), body))

    def read(self):
        *lines, self.buffer = self.buffer.split(b"\n")
        for line in lines:
            if line.startswith(b"data: {"):
                self.take(json.loads(line[6:])["choices"][0]["delta"].get("content", ""))
            elif line == b"0\r":
                self.end_answer()


class Parley(Client):
    def begin(self):
        self.transport.write(
            b"GET /ws/agent HTTP/1.1\r\nHost: %s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n" % self.address)
        self.read = self.read_head

    def read_head(self):
        head, separator, rest = self.buffer.partition(b"\r\n\r\n")
        if separator:
            assert head.startswith(b"HTTP/1.1 101"), head
            self.buffer = rest
            self.read = self.read_frames
            self.read()

    def ask(self):
        # Masked, as a client's frames must be, with a mask that changes nothing.
        self.transport.write(b'\x81\xac\0\0\0\0{"type":"streaming_query","query":"Go on."} ')

    def read_frames(self):
        at = 0
        while len(self.buffer) >= at + 4:
            start, length = at + 2, self.buffer[at + 1]
            if length == 126:
                start, length = at + 4, int.from_bytes(self.buffer[at + 2:at + 4], "big")
            assert length != 127, "none here is as long as that"
            if len(self.buffer) < start + length:
                break
            if self.buffer[at] == 0x81:
                self.take_frame(json.loads(self.buffer[start:start + length]))
            at = start + length
        self.buffer = self.buffer[at:]

    def take_frame(self, frame):
        kind = frame["type"]
        if kind == "stream_chunk":
            self.take(frame["content"])
        elif kind == "stream_end":
            self.end_answer()
        elif kind == "connected":
            self.ask()
        elif kind != "stream_start":
            raise RuntimeError(frame)


async def measure(kind, host, port, count, seconds):
    loop = asyncio.get_running_loop()
    begin_ns = time.monotonic_ns() + int((SPREAD_SECONDS + 1) * 1e9)
    meter = Meter(begin_ns, begin_ns + int(seconds * 1e9))
    print(json.dumps({"begin_ns": meter.begin_ns, "end_ns": meter.end_ns}), flush=True)
    clients = []
    for _ in range(count):
        address = f"{host}:{port}".encode()
        factory = {"direct": Direct, "parley": Parley}[kind]
        clients.append((await loop.create_connection(lambda: factory(meter, address), host, port))[1])
        await asyncio.sleep(SPREAD_SECONDS / count)
    await asyncio.wait_for(asyncio.gather(*(client.done for client in clients)), seconds + 60)
    print(json.dumps(meter.report()), flush=True)


def main():
    what, *arguments = sys.argv[1:]
    if what == "model":
        asyncio.run(serve(float(arguments[0])))
    else:
        kind, host, port, count, seconds = arguments
        asyncio.run(measure(kind, host, int(port), int(count), float(seconds)))


if __name__ == "__main__":
    main()
