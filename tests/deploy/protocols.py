"""A question and its answer in each of the five protocols, without a look at anything else in them."""

import asyncio
import json
import os
import uuid

from stack import TOP

PIPELINE = "11111111-1111-4111-8111-111111111111"  # deploy/config/parley.json


class Protocol:
    def __init__(self, name, path, ask, is_last, text_of):
        self.name = name
        self.path = path
        self.frame = ask        # question → frame
        self.is_last = is_last  # frame → whether it ends the answer
        self.text_of = text_of  # frames → the answer

    @property
    def missing(self):
        """Why it can't be tried yet, or None."""
        dialect = os.path.join(TOP, "services", "gateway", "dialects", f"{self.name}.c")
        return None if os.path.exists(dialect) else f"the gateway does not speak {self.name}"

    async def ask_only(self, socket, question):
        await socket.send(json.dumps(self.frame(question)))

    async def receive_answer(self, socket, timeout=60):
        frames = []
        while not frames or not self.is_last(frames[-1]):
            frames.append(json.loads(await asyncio.wait_for(socket.recv(), timeout)))
            if frames[-1].get("type") == "error":
                raise Refused(frames[-1])
        return self.text_of(frames)

    async def ask(self, socket, question):
        await self.ask_only(socket, question)
        return await self.receive_answer(socket)


class Refused(Exception):
    """An error message instead of an answer."""


def joined(kind, field="content"):
    return lambda frames: "".join(frame[field] for frame in frames if frame.get("type") == kind)


PROTOCOLS = {protocol.name: protocol for protocol in (
    Protocol("agent_engine", "/ws/agent", lambda q: {"type": "streaming_query", "query": q},
             lambda frame: frame["type"] == "stream_end", joined("stream_chunk")),
    Protocol("yychat", "/ws/chat", lambda q: {"type": "text_message", "content": q, "conversation_id": "kept"},
             lambda frame: frame["type"] == "stream_end", joined("stream_chunk")),
    Protocol("contact", "/contact", lambda q: {"type": "chat_message", "message": q},
             lambda frame: frame["type"] == "chat_message", joined("chat_message", "message")),
    Protocol("langbot", f"/api/v1/pipelines/{PIPELINE}/ws/connect?session_type=person",
             lambda q: {"type": "message", "message": [{"type": "Plain", "text": q}]},
             lambda frame: frame["type"] == "response" and frame["data"]["is_final"],
             lambda frames: frames[-1]["data"]["content"]),
    Protocol("minimal", f"/ws/chat/{uuid.uuid4()}", lambda q: {"query": q},
             lambda frame: frame["type"] == "status" and frame["status"] == "completed", joined("chunk")),
)}
