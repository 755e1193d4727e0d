"""Kill anything: who watches sees a pause. Clients ask, read, and move between gateways in mid-answer, while agents,
routers, tools and the broker die and come back. The model never says the same twice, so that a word that is lost, taken
back or said again is seen.

It storms for PARLEY_STORM_SECONDS; by itself that is short. PARLEY_STORM_SEED makes another storm.
"""

import asyncio
import itertools
import os
import random
import time

import pytest
import websockets

from model_server import call
from stack import Stack, sized
from tab import Tab
from tool_file import command_tools

SECONDS = float(os.environ.get("PARLEY_STORM_SECONDS", "12"))
SEED = int(os.environ.get("PARLEY_STORM_SEED", "7"))
CLIENTS = sized(12, 4)
PIECES = 60
BIG = """printf '"'; head -c 50000 /dev/zero | tr '\\0' x; printf '"'"""
# Each as often as it stands here. The gateways stay: their clients would have to say what they have (test_sessions).
VICTIMS = ("agent", "agent", "agent", "drain", "router", "tools", "broker")


@pytest.fixture
def stack(model, tmp_path):
    counter = itertools.count()

    async def never_the_same(request, stream):
        if "tools" in request.question and not request.tool_results():
            await call(("big", {}), ("calculator", {"expression": "1 + 1"}))(request, stream)
            return
        stream.head()
        for _ in range(PIECES):
            stream.delta({"content": f"{next(counter)} "})
            await asyncio.sleep(0.02)
        stream.end()
    model.default = lambda _request: never_the_same
    with Stack(model=model, TOOLS_CONFIG=command_tools(tmp_path, {"big": BIG}), JOB_ACK_WAIT_MS=1500,
               TURN_SILENCE_MS=2000, AGENT_DRAIN_GRACE_SECONDS=1, AGENT_MAX_ATTEMPTS=100) as running:
        running.start(router=2, agent=3, tools=2, gateway=2)
        yield running
    model.default = None


class Watcher:
    """Asks one question after the other, and checks what it reads."""

    def __init__(self, stack, number, counts):
        self.gateways = stack.of("gateway")
        self.random = random.Random(SEED * 1000 + number)
        self.name = f"watcher-{number}"
        self.counts = counts
        self.page = Tab(self.gateways[0])

    async def connect(self):
        """To any gateway; again where that has no broker now. Goes on where it was."""
        deadline = time.monotonic() + 60
        while True:
            try:
                session = await self.page.open(self.random.choice(self.gateways))
                assert session.get("resumed", True), f"{self.name}: not resumed after {self.page.text[-40:]}: {session}"
                return
            except websockets.ConnectionClosed:
                assert time.monotonic() < deadline
                await asyncio.sleep(0.2)

    async def read(self):
        """All of the answer, half of them over two connections."""
        if self.random.random() < 0.5:
            await self.page.read(self.random.randrange(1, PIECES * 4))
            # An end that has been received, though it is not read yet, is not told again.
            if not self.page.final and not self.page.socket.messages:
                self.counts["moves"] += 1
                await self.page.vanish()
                await self.connect()
        if not self.page.final:
            await self.page.read(timeout=90)

    async def ask(self, question):
        self.page.text, self.page.final = "", None
        await self.page.ask(question)
        await self.read()
        words = [int(word) for word in self.page.text.split()]
        assert words == sorted(set(words)), f"{question}: {self.page.text}"
        if self.page.final["type"] == "error":
            assert not words, f"{question}: {self.page.final} after {len(words)} words"
            self.counts["refused"] += 1
        else:
            assert len(words) >= PIECES, f"{question}: {self.page.text}"
            self.counts["answers"] += 1

    async def watch(self, end):
        await self.connect()
        for number in itertools.count():
            if time.monotonic() >= end:
                break
            await self.ask(f"{self.name} {number} {self.random.choice(['', 'tools'])}")
        await self.page.socket.close()


async def strike(stack, victim, pause):
    """One dies, and is back after the pause."""
    if victim == "broker":
        await asyncio.to_thread(stack.broker.kill)
        await asyncio.sleep(pause)
        await asyncio.to_thread(stack.broker.start)
        return
    process = random.Random(pause).choice(stack.of("agent" if victim == "drain" else victim))
    if victim == "drain":
        process.terminate()
        await asyncio.to_thread(process.wait, 30)
        process.killed = True
    else:
        process.kill()
    await asyncio.sleep(pause)
    await asyncio.to_thread(stack.restart, process)


async def storm(stack, end):
    rng = random.Random(SEED)
    while time.monotonic() < end:
        await asyncio.sleep(rng.uniform(0.5, 3))
        await strike(stack, rng.choice(VICTIMS), rng.uniform(0.1, 2))


def test_whoever_watches_sees_a_pause(stack):
    counts = {"answers": 0, "moves": 0, "refused": 0}
    end = time.monotonic() + SECONDS

    async def scenario():
        watchers = [Watcher(stack, number, counts).watch(end) for number in range(CLIENTS)]
        await asyncio.gather(storm(stack, end), *watchers)
    asyncio.run(scenario())
    print(counts)
    assert counts["answers"] > CLIENTS and counts["moves"] > 0
    for gateway in stack.of("gateway"):
        assert gateway.metric("parley_answers_in_flight") == 0, "nothing is left over"
