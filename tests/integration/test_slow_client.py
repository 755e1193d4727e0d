"""A client that reads nothing changes nobody else's latency, and is closed with a reason once its lag passes the bound.

It reads nothing for PARLEY_SLOW_SECONDS; by itself that is short.
"""

import asyncio
import contextlib
import os
import socket
import time

import pytest
import websockets

from client import connect, eventually
from latency import check_latencies
from model_server import say
from stack import sized

SLOW_SECONDS = float(os.environ.get("PARLEY_SLOW_SECONDS", "2"))
NEIGHBOURS = 20
SECONDS = sized(0.050, 1.0)  # a token's way for the neighbours
LIMIT_SECONDS = sized(1, 4)
MEBIBYTE = 1 << 20
SETTINGS = {
    "WS_MAX_LAG_BYTES": 4 * MEBIBYTE,
    "WS_CLOSE_TIMEOUT": int(SLOW_SECONDS) + 8,
    "WS_HEARTBEAT_INTERVAL": 3600,
    "LOG_LEVEL": "info",
}
BIG = ["b" * 4096] * 768  # 3 MiB
PACE_SECONDS = 0.001      # between its deltas: what makes a flood in this process is no measure of the gateway


@contextlib.asynccontextmanager
async def lazy(stack):
    """A client with next to no room in its socket, that reads only after `resume_reading`."""
    plug = socket.socket()
    plug.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    plug.connect(("127.0.0.1", stack.gateway.port))
    plug.setblocking(False)
    async with connect(stack.url, sock=plug, read_limit=4096) as client:
        client.socket.transport.pause_reading()
        yield client


async def tell_the_time(_request, stream):
    """A token every 10 ms that holds the time at which it was sent."""
    stream.head()
    while True:
        stream.delta({"content": f"{time.monotonic():.6f} "})
        await asyncio.sleep(0.01)


async def listen(client, latencies):
    """For as long as it is let."""
    await client.ask_only("what time is it")
    await client.expect("stream_start")
    while True:
        frame, at = await client.receive_timed()
        latencies += [at - float(token) for token in frame["content"].split()]


async def measure(listeners, seconds):
    """All their latencies, for so long."""
    for latencies in listeners:
        latencies.clear()
    await asyncio.sleep(seconds)
    together = sum(listeners, [])
    assert len(together) > NEIGHBOURS * seconds * 20, "the neighbours are served"
    return together


def p99(latencies):
    """In ms."""
    return sorted(latencies)[int(len(latencies) * 0.99)] * 1000


@contextlib.asynccontextmanager
async def neighbours(stack):
    """Clients that follow answers; what comes of it: their latencies, a list each."""
    async with contextlib.AsyncExitStack() as connections:
        clients = [await connections.enter_async_context(connect(stack.url)) for _ in range(NEIGHBOURS)]
        latencies = [[] for _ in clients]
        tasks = [asyncio.ensure_future(listen(*pair)) for pair in zip(clients, latencies)]
        await eventually(lambda: all(latencies), what="the neighbours' answers run")
        try:
            yield latencies
        finally:
            while not all(task.done() for task in tasks):  # before Python 3.12, wait_for may swallow a cancellation
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks, timeout=0.1)
            for client in clients:
                await client.send({"type": "cancel"})
                while (await client.receive())["type"] != "cancelled":
                    pass


def closed_for_lag(stack):
    return stack.metric("gateway", "parley_slow_clients_closed_total")


def test_it_lags_below_the_bound(stack, model):
    """Then it gets everything, as late as it likes; the others notice nothing."""
    model.script("what", tell_the_time)
    model.script("big", say(BIG, delay=PACE_SECONDS))

    async def scenario():
        async with neighbours(stack) as latencies, lazy(stack) as slow:
            before = await measure(latencies, 1)
            await slow.ask_only("big")
            during = await measure(latencies, SLOW_SECONDS)
            await eventually(lambda: model.asked("big")[-1].finished, 30, "the model has said it all")
            slow.socket.transport.resume_reading()
            answer = (await slow.collect(60)).check_streamed()
            assert len(answer.text) == 3 * MEBIBYTE
            print(f"p99 of the others: {p99(before):.1f} ms, then {p99(during):.1f} ms")
            check_latencies(during, SECONDS, LIMIT_SECONDS)
    asyncio.run(scenario())
    assert closed_for_lag(stack) == 0


def test_it_lags_beyond_the_bound(stack, model):
    model.script("what", tell_the_time)
    model.script("big", say(BIG, delay=PACE_SECONDS))
    before = closed_for_lag(stack)

    async def scenario():
        async with neighbours(stack) as latencies, lazy(stack) as slow:
            for _ in range(4):
                await slow.ask_only("big")
            check_latencies(await measure(latencies, SLOW_SECONDS), SECONDS, LIMIT_SECONDS)
            await eventually(lambda: closed_for_lag(stack) == before + 1, 30, "it is closed")
            slow.socket.transport.resume_reading()
            text = 0
            with pytest.raises(ConnectionError):
                while True:
                    text += len((await slow.receive()).get("content", ""))
            assert text < 9 * MEBIBYTE
            assert await slow.closed() == (1008, "too slow")
            async with connect(stack.url) as again:
                (await again.ask("still there")).check_streamed()
    asyncio.run(scenario())
    closed = [line for line in stack.gateway.log_lines() if line["message"] == "a client that is too slow is closed"]
    assert closed and closed[-1]["lag_bytes"] > 4 * MEBIBYTE


def test_it_never_reads_again(stack, model):
    """It is gone all the same, in bounded time, and before that already what was kept for it."""
    model.script("big", say(BIG, delay=PACE_SECONDS))
    before = closed_for_lag(stack)

    async def scenario():
        async with lazy(stack) as slow:
            for _ in range(4):
                await slow.ask_only("big")
            await eventually(lambda: closed_for_lag(stack) == before + 1, 30, "it is closed")
            await eventually(lambda: stack.metric("gateway", "parley_buffered_bytes") < MEBIBYTE, 30, "nothing is kept")
            assert stack.metric("gateway", "parley_connections") == 1, "it may still learn why"
            await eventually(lambda: stack.metric("gateway", "parley_connections") == 0, SLOW_SECONDS + 15, "it is gone")
            with contextlib.suppress(websockets.ConnectionClosed, ConnectionError):
                await slow.abandon()
    asyncio.run(scenario())
