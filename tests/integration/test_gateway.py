"""The edge: who may connect, how many, and how a connection ends."""

import asyncio
import http.client

import pytest
import websockets

from client import connect, eventually
from dialects import PIPELINE
from model_server import hang, say
from nats_proxy import NatsProxy
from process import wait_until
from stack import call, get


def test_pages_and_unknown_paths(stack):
    assert get(stack.gateway.port, "/")[0] == 200
    assert get(stack.gateway.port, "/nothing/here")[0] == 404
    assert get(stack.gateway.port, "/static/../../etc/passwd")[0] in (400, 404)


def refused(url, **options):
    async def scenario():
        with pytest.raises(websockets.InvalidStatusCode) as refusal:
            async with connect(url, **options):
                pass
        return refusal.value.status_code
    return asyncio.run(scenario())


def test_a_foreign_origin_is_refused(stack):
    assert refused(stack.url, origin="https://elsewhere.example") == 403
    assert refused(stack.url, origin="http://127.0.0.1.elsewhere.example") == 403

    async def own(origin):
        async with connect(stack.url, origin=origin) as client:
            await client.ping()
    asyncio.run(own(f"http://127.0.0.1:{stack.gateway.port}"))
    asyncio.run(own("null"))


def upgrade_status(gateway, host, origin):
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13",
               "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA=="}
    return get(gateway.port, "/ws/agent", Host=host, Origin=origin, **upgrade)[0]


def test_a_foreign_name_that_leads_here_is_refused(stack):
    """Its page would be of our own origin (DNS rebinding)."""
    port = stack.gateway.port
    foreign = f"elsewhere.example:{port}"
    assert upgrade_status(stack.gateway, foreign, f"http://{foreign}") == 403
    for path in ("/", "/ws/statistics"):
        assert get(port, path, Host=foreign)[0] == 421
        assert get(port, path, Host=f"localhost:{port}")[0] == 200


def test_only_listed_pages_connect(stack):
    gateway = stack.add("gateway", HOST="0.0.0.0", WS_ALLOWED_ORIGINS="127.0.0.1,localhost,https://app.example, null")
    port = gateway.port
    url = f"ws://127.0.0.1:{port}/ws/agent"

    async def may(origin):
        async with connect(url, origin=origin) as client:
            await client.ping()
    for origin in ("https://app.example", f"http://127.0.0.1:{port}", f"http://localhost:{port}", "null", None):
        asyncio.run(may(origin))
    assert refused(url, origin="https://app.example.elsewhere.example") == 403
    assert refused(url, origin="http://app.example") == 403

    foreign = f"elsewhere.example:{port}"  # leads here: DNS rebinding
    assert upgrade_status(gateway, foreign, f"http://{foreign}") == 403
    assert get(port, "/ws/statistics", Host=foreign)[0] == 421
    for host in (f"localhost:{port}", f"127.0.0.1:{port}", "192.0.2.7", "app.example"):
        assert get(port, "/ws/statistics", Host=host)[0] == 200

    broadcast = {"message": "hello"}
    for origin, status in ((f"http://{foreign}", 403), (f"http://127.0.0.1:{port}", 200), ("https://app.example", 200)):
        assert call(port, "POST", "/api/v1/contacts/broadcast", broadcast, Origin=origin)[0] == status
    assert get(port, "/ws/statistics", Origin="https://elsewhere.example")[0] == 403
    stack.remove(gateway)


def test_a_list_that_makes_no_sense_is_refused(stack):
    gateway = stack.add("gateway", ready=False, WS_ALLOWED_ORIGINS="localhost,https://app.example/chat")
    assert gateway.wait(15) == 2
    assert "WS_ALLOWED_ORIGINS: 'https://app.example/chat'" in gateway.log()
    gateway.killed = True


def test_an_unknown_path_is_no_websocket(stack):
    assert refused(stack.url + "/elsewhere") == 404


@pytest.mark.parametrize("path", ["/ws/agent", "/ws/chat", "/ws/chat/ada", "/contact",
                                  f"/api/v1/pipelines/{PIPELINE}/ws/connect?session_type=person"])
def test_without_an_upgrade_it_is_asked_for(stack, path):
    """RFC 9110, section 15.5.22."""
    connection = http.client.HTTPConnection("127.0.0.1", stack.gateway.port, timeout=15)
    for method, status in (("GET", 426), ("HEAD", 426), ("POST", 405)):
        connection.request(method, path)
        response = connection.getresponse()
        response.read()
        assert response.status == status
        asked = (response.headers["Upgrade"], response.headers["Connection"])
        assert asked == (("websocket", "Upgrade") if status == 426 else (None, None))
    connection.close()
    assert get(stack.gateway.port, path, Origin="https://elsewhere.example")[0] == 403


def test_beyond_the_connection_limit_503(stack, model):
    gateway = stack.add("gateway", WS_MAX_CONNECTIONS=5)
    url = f"ws://127.0.0.1:{gateway.port}/ws/agent"

    async def scenario():
        clients = [connect(url) for _ in range(5)]
        opened = [await client.__aenter__() for client in clients]
        with pytest.raises(websockets.InvalidStatusCode) as refusal:
            async with connect(url):
                pass
        assert refusal.value.status_code == 503
        await opened[0].close()

        async def again():
            try:
                async with connect(url) as client:
                    await client.ping()
                return True
            except websockets.InvalidStatusCode:
                return False
        for _ in range(200):
            if await again():
                break
            await asyncio.sleep(0.02)
        else:
            raise AssertionError("a place that was given back is not used again")
        for client in opened[1:]:
            await client.close()
    asyncio.run(scenario())
    stack.remove(gateway)


def test_who_has_not_come_in_is_not_listed(stack):
    """While a router is asked for its pipeline, a connection belongs to none."""
    path = "/api/v1/pipelines/{}/ws"
    with NatsProxy(stack.broker.port) as proxy:
        gateway = stack.add("gateway", NATS_URL=proxy.url)
        proxy.hold("parley.command.find_pipeline")

        def listed():
            return call(stack.gateway.port, "GET", path.format(PIPELINE) + "/connections")[1]["data"]["stats"]

        async def scenario():
            url = f"ws://127.0.0.1:{gateway.port}{path.format('nobody-knows')}/connect?session_type=person"
            async with websockets.connect(url) as socket:
                await asyncio.to_thread(wait_until, lambda: proxy.held, what="it is asked for")
                assert gateway.metric("parley_connections", "langbot") == 1
                stats = await asyncio.to_thread(listed)
                assert stats["total_connections"] == 0 and not stats["connections_by_pipeline"], stats
                proxy.release()
                assert "error" in await asyncio.wait_for(socket.recv(), 15)
        asyncio.run(scenario())
        stack.remove(gateway)


def test_what_is_held_for_all_clients_is_bounded(stack, model):
    gateway = stack.add("gateway", WS_MAX_BUFFERED_BYTES=8 << 20)
    url = f"ws://127.0.0.1:{gateway.port}/ws/agent"
    model.script("hang", hang())

    async def scenario():
        async with connect(url) as one, connect(url) as other:
            for client in (one, other):
                await client.ask_only("hang")
                await client.expect("stream_start")
            for n in range(8):
                client = one if n < 4 else other
                await client.ask_only("y" * 1_000_000)
                if n >= 6:  # three quarters of it are full
                    assert "too much is waiting" in await client.expect_error("Streaming failed: ")
                await client.ping()
            await eventually(lambda: gateway.metric("parley_buffered_bytes") > 5_000_000, what="the gauge tells")
            for client in (one, other):
                await client.send({"type": "cancel"})
                assert (await client.collect()).final["type"] == "cancelled"
            await eventually(lambda: gateway.metric("parley_buffered_bytes") == 0, what="all is given back")
            (await other.ask("and now")).check_streamed()
    asyncio.run(scenario())
    stack.remove(gateway)


def test_server_pings_and_closes_who_answers_none(stack):
    gateway = stack.add("gateway", WS_HEARTBEAT_INTERVAL=1)

    async def scenario():
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET /ws/agent HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                     b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n")
        data = await asyncio.wait_for(reader.read(), 20)  # up to the end
        assert b"101" in data.split(b"\r\n")[0]
        assert b"\x89\x00" in data or b"\x89" in data, "no ping"
        writer.close()

        async with connect(f"ws://127.0.0.1:{gateway.port}/ws/agent") as client:
            await asyncio.sleep(4)  # pongs are sent by the library
            await client.ping()
    asyncio.run(scenario())
    stack.remove(gateway)


def test_shutdown_ends_answers_and_closes_with_1001(stack, model):
    gateway = stack.add("gateway")
    model.script("draining", say(["piece "] * 20, delay=0.05))

    async def scenario():
        async with connect(f"ws://127.0.0.1:{gateway.port}/ws/agent") as client:
            await client.ask_only("draining")
            await client.until_chunk()
            gateway.terminate()
            answer = await client.collect()
            assert answer.final["type"] == "stream_end"
            assert (await client.closed())[0] == 1001
    asyncio.run(scenario())
    assert gateway.wait(15) == 0
    gateway.killed = True
