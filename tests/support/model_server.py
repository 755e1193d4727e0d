"""A scripted model provider: OpenAI's chat completions, streamed, with every fault at the test's command.

    with ModelServer() as model:
        model.script("greet", say(["Hel", "lo"]))            # for questions that are "greet" or begin with "greet "
        model.script("flaky", refuse(429, retry_after=1), say(["now it works"]))   # one request after the other
        …
        request = model.requests[-1]                          # what came, when it ended, and who closed it

The question is the last user message. What has no script is answered with "You said: <question>". A trailing assistant
message is continued: `say` sends what is missing of its text, byte for byte. It runs on a thread of its own.
"""

import asyncio
import json
import socket
import time

from loop_thread import LoopThread
from process import wait_until


class Request:
    """One request. Times are time.monotonic(); `closed` is None while its stream is open."""

    def __init__(self, headers, body):
        self.headers = headers
        self.body = body
        self.messages = body["messages"]
        self.question = next((text_of(m) for m in reversed(self.messages) if m["role"] == "user"), "")
        last = self.messages[-1]
        self.prefix = text_of(last) if last["role"] == "assistant" else ""
        self.received = time.monotonic()
        self.closed = None
        self.client_closed = False  # before its stream had ended
        self.finished = False       # all that was scripted has been sent

    @property
    def open(self):
        return self.closed is None

    def tool_results(self):
        """Contents of the tool messages after the last question."""
        results = []
        for message in reversed(self.messages):
            if message["role"] == "user":
                break
            if message["role"] == "tool":
                results.insert(0, text_of(message))
        return results


def text_of(message):
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


class Stream:
    """What a behaviour writes to."""

    def __init__(self, connection, split):
        self.connection = connection
        self.split = split

    def head(self, status=200, content_type="text/event-stream", headers=()):
        lines = [f"HTTP/1.1 {status} Scripted", f"Content-Type: {content_type}", "Transfer-Encoding: chunked", *headers]
        self.connection.transport.write(("\r\n".join(lines) + "\r\n\r\n").encode())

    def raw(self, data):
        """Body bytes, in pieces of `split` bytes, each an HTTP chunk of its own: so they are read apart."""
        size = self.split or len(data) or 1
        pieces = [data[at:at + size] for at in range(0, len(data), size)]
        self.connection.transport.write(b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces))

    def event(self, value, escaped=False):
        data = value if isinstance(value, str) else json.dumps(value, ensure_ascii=escaped)
        self.raw(f"data: {data}\n\n".encode())

    def delta(self, delta, finish=None, escaped=False):
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        self.event({"id": "scripted", "object": "chat.completion.chunk", "model": "scripted", "choices": [choice]}, escaped)

    def end(self, finish="stop"):
        self.delta({}, finish)
        self.event("[DONE]")
        self.connection.transport.write(b"0\r\n\r\n")

    def cut(self):
        self.connection.cut = True
        self.connection.transport.close()

    def flushed(self):
        return self.connection.transport.get_write_buffer_size() < 1 << 20


# ---- Behaviours: async functions of the request and a stream

async def send_deltas(request, stream, deltas, delay=0, escaped=False):
    """Those after the request's prefix; False where that is none of the text's."""
    if not "".join(deltas).startswith(request.prefix):
        return False
    skip = len(request.prefix)
    for delta in deltas:
        if skip >= len(delta):
            skip -= len(delta)
            continue
        stream.delta({"content": delta[skip:]}, escaped=escaped)
        skip = 0
        await asyncio.sleep(delay if stream.flushed() else 0.02)
    return True


def say(deltas, delay=0, first=0, split=None, escaped=False, finish="stop"):
    """Answers with these pieces: the first after `first` seconds, then one every `delay`; the body split into pieces of
    `split` bytes; `escaped`: JSON with \\u escapes."""
    deltas = [deltas] if isinstance(deltas, str) else deltas

    async def behave(request, stream):
        stream.split = split
        await asyncio.sleep(first)
        if not "".join(deltas).startswith(request.prefix):
            return await refuse(400, "the assistant's message is no prefix")(request, stream)
        stream.head()
        stream.delta({"role": "assistant", "content": ""})
        await send_deltas(request, stream, deltas, delay, escaped)
        stream.end(finish)
    return behave


def call(*calls, text="", pieces=1, split=None):
    """Calls tools: (name, arguments as text or object). Arguments come in pieces of that many characters."""
    async def behave(request, stream):
        stream.split = split
        stream.head()
        stream.delta({"role": "assistant", "content": None})
        if text:
            stream.delta({"content": text})
        for index, (name, arguments) in enumerate(calls):
            arguments = arguments if isinstance(arguments, str) else json.dumps(arguments)
            function = {"name": name, "arguments": ""}
            first = {"index": index, "id": f"call_{len(request.messages)}_{index}", "type": "function", "function": function}
            stream.delta({"tool_calls": [first]})
            for at in range(0, len(arguments), pieces):
                part = {"index": index, "function": {"arguments": arguments[at:at + pieces]}}
                stream.delta({"tool_calls": [part]})
                await asyncio.sleep(0)
        stream.end("tool_calls")
    return behave


def report_results(prefix="results: "):
    """Says what the tools said."""
    async def behave(request, stream):
        await say([prefix, json.dumps(request.tool_results(), ensure_ascii=False)])(request, stream)
    return behave


def refuse(status, message="scripted failure", retry_after=None, body=None):
    async def behave(_request, stream):
        headers = [] if retry_after is None else [f"Retry-After: {retry_after}"]
        stream.head(status, "application/json", headers)
        stream.raw(body if body is not None else json.dumps({"error": {"message": message, "code": status}}).encode())
        stream.connection.transport.write(b"0\r\n\r\n")
    return behave


def garbage(deltas=(), data=b"data: {this is no JSON\n\n"):
    async def behave(request, stream):
        stream.head()
        await send_deltas(request, stream, deltas)
        stream.raw(data)
        stream.end()
    return behave


def huge_line(size=2 << 20):
    return garbage(data=b"data: " + b"x" * size + b"\n\n")


def cut(deltas, delay=0):
    """Half an answer, and the connection ends."""
    async def behave(request, stream):
        stream.head()
        await send_deltas(request, stream, deltas, delay)
        await asyncio.sleep(0.02)
        stream.cut()
    return behave


def stall(deltas=(), comment_every=3600):
    """Says this, and then nothing for ever but a comment each so many seconds."""
    async def behave(request, stream):
        stream.head()
        await send_deltas(request, stream, deltas)
        while True:
            await asyncio.sleep(comment_every)
            stream.raw(b": still here\n\n")
    return behave


def hang():
    """Not even a status line."""
    async def behave(_request, _stream):
        await asyncio.Event().wait()
    return behave


# ---- The server

class Connection(asyncio.Protocol):
    def __init__(self, server):
        self.server = server
        self.transport = None
        self.buffer = b""
        self.request = None
        self.task = None
        self.cut = False  # by the script

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.buffer += data
        self._next()

    def eof_received(self):
        self._gone()

    def connection_lost(self, _error):
        self._gone()
        if self.task:
            self.task.cancel()

    def _gone(self):
        request = self.request
        if request and request.closed is None:
            request.closed = time.monotonic()
            request.client_closed = not self.cut

    def _next(self):
        """Starts on the next request, once it is there as a whole and the one before has ended."""
        if self.task or b"\r\n\r\n" not in self.buffer:
            return
        head, rest = self.buffer.split(b"\r\n\r\n", 1)
        headers = dict(line.lower().split(": ", 1) for line in head.decode().split("\r\n")[1:])
        length = int(headers.get("content-length", 0))
        if "100-continue" in headers.get("expect", "") and len(rest) == 0:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if len(rest) < length:
            return
        self.buffer = rest[length:]
        self.request = Request(headers, json.loads(rest[:length]))
        self.server.requests.append(self.request)
        self.task = asyncio.ensure_future(self._answer(self.request))

    async def _answer(self, request):
        try:
            await self.server.behaviour_for(request)(request, Stream(self, None))
            request.finished = True
        finally:
            if request.closed is None:
                request.closed = time.monotonic()
            self.task = None
        self._next()


class ModelServer:
    def __init__(self):
        self.requests = []
        self.default = None  # a function of the request that returns a behaviour
        self._scripts = {}
        self._thread = LoopThread()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self._server = None

    def __enter__(self):
        self._thread.start()
        self._server = self._thread.run(
            self._thread.loop.create_server(lambda: Connection(self), sock=self._socket, backlog=1024))
        return self

    def __exit__(self, *_error):
        self._thread.loop.call_soon_threadsafe(self._server.close)
        self._thread.stop()

    @property
    def url(self):
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def script(self, question, *behaviours):
        """One behaviour for each request with that question, in order; the last goes for all that follow."""
        self._scripts[question] = list(behaviours)

    def behaviour_for(self, request):
        script = self._scripts.get(request.question) or self._scripts.get(request.question.split(" ", 1)[0])
        if script:
            return script.pop(0) if len(script) > 1 else script[0]
        return self.default(request) if self.default else say(["You ", "said: ", request.question])

    def asked(self, question):
        """The requests with that question, in order."""
        return [request for request in self.requests if request.question == question]

    def wait_for(self, question, count=1, timeout=15):
        """The last of so many requests, once that many have come. Blocks: from a coroutine use asyncio.to_thread."""
        wait_until(lambda: len(self.asked(question)) >= count, timeout, f"request {count} for {question!r}")
        return self.asked(question)[count - 1]

    def open_streams(self):
        return [request for request in self.requests if request.open]
