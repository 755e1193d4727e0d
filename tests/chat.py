#!/usr/bin/python3
"""Chat with parley from a terminal, in any of its five protocols; the answer appears as it comes.

    tests/chat.py PIPELINE_UUID [QUESTION] [--session-type group] [--multi N]      LangBot
    tests/chat.py --protocol agent_engine|yychat|contact|minimal [QUESTION]

Without a question it asks for them, until Ctrl-D; Ctrl-C stops an answer. With --multi N as many clients ask the
question at the same time, and each answer is printed when it is complete. The exit status is 1 if an answer failed.
"""

import argparse
import asyncio
import contextlib
import json
import signal
import sys
import urllib.parse
import uuid

import websockets


class Failed(Exception):
    """What the server said was wrong."""


# ---- The protocols: where each lives, how a question is sent, and what a frame means. `read` yields ("text", all text
# so far), ("end", all text or None for what there was), or ("tool", what happens); it raises Failed. One object for
# each connection.

class AgentEngine:
    @staticmethod
    def path(_options):
        return "/ws/agent"

    @staticmethod
    def ask(text, _options):
        return {"type": "streaming_query", "query": text}

    @staticmethod
    def read(frame, so_far):
        kind = frame.get("type")
        if kind == "stream_chunk":
            yield "text", so_far + frame["content"]
        elif kind == "stream_end":
            yield "end", None
        elif kind == "error":
            raise Failed(frame["error"])


class YYChat:
    @staticmethod
    def path(_options):
        return "/ws/chat"

    @staticmethod
    def ask(text, options):
        return {"type": "text_message", "content": text, "conversation_id": options.conversation, "stream": True}

    @staticmethod
    def read(frame, so_far):
        kind = frame.get("type")
        if kind == "stream_chunk":
            yield "text", so_far + frame["content"]
        elif kind == "stream_end":
            yield "end", frame["full_content"]
        elif kind == "error":
            raise Failed(frame["error"]["message"])


class Contact:
    @staticmethod
    def path(_options):
        return "/contact"

    @staticmethod
    def ask(text, _options):
        return {"type": "chat_message", "message": text}

    @staticmethod
    def read(frame, _so_far):
        kind = frame.get("type")
        if kind == "chat_message" and frame.get("sender") == "assistant":
            yield "end", frame["message"]
        elif kind == "error":
            raise Failed(frame["message"])


class LangBot:
    """All of a session see all of its answers. An answer's id is the next after its question's, and that is told by the
    user_message that bears our connection's id."""

    def __init__(self):
        self.connection = self.answer = None

    @staticmethod
    def path(options):
        pipeline = urllib.parse.quote(options.pipeline, safe="")
        return f"/api/v1/pipelines/{pipeline}/ws/connect?session_type={options.session_type}"

    def ask(self, text, options):
        self.answer = None
        mention = [{"type": "At", "target": "websocketbot"}] if options.session_type == "group" else []
        return {"type": "message", "message": [*mention, {"type": "Plain", "text": text}], "stream": True}

    def read(self, frame, _so_far):
        kind, data = frame.get("type"), frame.get("data")
        if kind == "connected":
            self.connection = frame["connection_id"]
        elif kind == "user_message" and data["connection_id"] == self.connection:
            self.answer = data["id"] + 1
        elif kind == "response" and data["id"] == self.answer:
            yield "end" if data["is_final"] else "text", data["content"]
        elif kind == "error":
            raise Failed(frame["message"])


class Minimal:
    @staticmethod
    def path(options):
        return f"/ws/chat/{urllib.parse.quote(options.user, safe='')}"

    @staticmethod
    def ask(text, options):
        return {"query": text, **({"token": options.token} if options.token else {})}

    @staticmethod
    def read(frame, so_far):
        if frame.get("type") == "chunk":
            yield "text", so_far + frame["content"]
        elif frame.get("status") == "completed":
            yield "end", None
        elif frame.get("type") == "error":
            raise Failed(frame["content"])


PROTOCOLS = {"agent_engine": AgentEngine, "yychat": YYChat, "contact": Contact, "langbot": LangBot, "minimal": Minimal}


# ---- One question and its answer

def web_socket_url(text):
    """The gateway's, which may be given as a browser shows it: http://host:port, or host:port."""
    scheme, separator, rest = text.rpartition("://")
    scheme = {"http": "ws", "https": "wss"}.get(scheme, scheme) if separator else "ws"
    return f"{scheme}://{rest.rstrip('/')}"


def address(options):
    url = options.url + PROTOCOLS[options.protocol].path(options)
    return f"{url}{'&' if '?' in url else '?'}parley=1"


@contextlib.asynccontextmanager
async def connect(options):
    """The socket, and what it speaks."""
    headers = {"Authorization": f"Bearer {options.token}"} if options.token else {}
    async with websockets.connect(address(options), extra_headers=headers, max_size=None) as socket:
        yield socket, PROTOCOLS[options.protocol]()


def events(frame, so_far, protocol):
    """What a frame means, with the messages of parley's extension, which are the same in all protocols."""
    if frame.get("type") == "tool":
        yield "tool", f"[{frame['name']}: {frame['status']}]"
    elif frame.get("type") == "cancelled":
        raise Failed("stopped")
    elif frame.get("type") == "noted":
        yield "end", "(shown to the group; not answered)"
    else:
        yield from protocol.read(frame, so_far)


async def ask(connection, question, options, show):
    """The whole answer. `show` is called with each new piece of it, and with ("tool", …)."""
    socket, protocol = connection
    so_far = ""
    with contextlib.suppress(websockets.ConnectionClosed):  # it may have said why before it closed
        await socket.send(json.dumps(protocol.ask(question, options)))
    async for message in socket:
        for kind, text in events(json.loads(message), so_far, protocol):
            if kind == "tool":
                show(kind, text)
                continue
            if text is not None:
                show("text", text[len(so_far):])
                so_far = text
            if kind == "end":
                return so_far
    raise Failed("the connection was closed")


# ---- The three ways to use it

def show_on_terminal(kind, text):
    if kind == "text":
        print(text, end="", flush=True)
    else:
        print(f"\033[2m{text}\033[0m" if sys.stderr.isatty() else text, file=sys.stderr, flush=True)


async def answer_on_terminal(connection, question, options):
    """True if there was an answer. Ctrl-C stops it."""
    loop = asyncio.get_running_loop()
    socket, _protocol = connection
    loop.add_signal_handler(signal.SIGINT, lambda: asyncio.ensure_future(socket.send('{"type":"cancel"}')))
    try:
        await ask(connection, question, options, show_on_terminal)
        print()
        return True
    except Failed as failure:
        print(f"\n{failure}", file=sys.stderr)
        return False
    finally:
        loop.remove_signal_handler(signal.SIGINT)


async def ask_one(options):
    async with connect(options) as connection:
        return await answer_on_terminal(connection, options.question, options)


async def ask_many(options):
    async def client(number):
        try:
            async with connect(options) as connection:
                answer = await ask(connection, options.question, options, lambda _kind, _text: None)
                print(f"--- {number}\n{answer}", flush=True)
                return True
        except Failed as failure:
            print(f"--- {number}\n{failure}", file=sys.stderr, flush=True)
            return False

    return all(await asyncio.gather(*(client(number + 1) for number in range(options.multi))))


async def converse(options):
    loop = asyncio.get_running_loop()
    async with connect(options) as connection:
        print("Connected. Ctrl-D ends, Ctrl-C stops an answer.", file=sys.stderr)
        while True:
            print("> ", end="", flush=True)
            line = await loop.run_in_executor(None, sys.stdin.readline)
            if not line:
                print()
                return True
            if line.strip() and not await answer_on_terminal(connection, line.strip(), options):
                if not connection[0].open:
                    return False


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__.split("\n", 1)[0], formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=__doc__.split("\n", 2)[2])
    parser.add_argument("words", nargs="*", metavar="PIPELINE_UUID | QUESTION")
    parser.add_argument("--protocol", choices=PROTOCOLS, default="langbot")
    parser.add_argument("--url", type=web_socket_url, default="ws://127.0.0.1:8003",
                        help="the gateway (%(default)s); http://host:port or host:port will do, too")
    parser.add_argument("--session-type", choices=("person", "group"), default="person", help="langbot")
    parser.add_argument("--conversation", default=f"terminal-{uuid.uuid4()}", help="yychat: the conversation's id")
    parser.add_argument("--user", help="minimal: the user's id; with --token, whose that is (a new one)")
    parser.add_argument("--token", help="where the gateway asks for one")
    parser.add_argument("--multi", type=int, default=1, metavar="N", help="so many clients at the same time")
    parser.add_argument("--question", help="the question, instead of the last argument")
    options = parser.parse_intermixed_args()
    words = options.words
    if options.protocol == "langbot":
        if not words:
            parser.error("which pipeline? (or another --protocol)")
        options.pipeline = words.pop(0)
    if options.protocol == "minimal" and options.token and not options.user:
        parser.error("--token opens only its own user's conversation: which --user?")
    options.user = options.user or f"terminal-{uuid.uuid4()}"
    options.question = options.question or " ".join(words)
    if options.multi > 1 and not options.question:
        parser.error("--multi takes a question")
    return options


def main():
    options = parse_arguments()
    way = ask_many if options.multi > 1 else ask_one if options.question else converse
    try:
        sys.exit(0 if asyncio.run(way(options)) else 1)
    except (OSError, ValueError, websockets.WebSocketException) as error:
        sys.exit(f"{address(options)}: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
