"""deploy/nginx/site.conf with Debian's nginx: two gateways behind TLS and a path prefix, in each of the five protocols."""

import asyncio
import http.client
import json
import os
import re
import shutil
import ssl
import subprocess

import pytest
import websockets

import facts
from model_server import ModelServer, say
from process import Process, wait_until
from protocols import PROTOCOLS
from stack import Stack, free_port, get, has

NGINX = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
pytestmark = pytest.mark.skipif(not NGINX, reason="nginx is not installed")

READ_TIMEOUT = 23  # nginx's, in seconds: above the contact protocol's own 20 seconds between two pings
HEARTBEAT = 5      # the gateways' for the others
# ---- nginx

def replaced(text, pairs):
    for old, new in pairs:
        assert re.search(old, text), f"deploy/nginx has no {old}"
        text = re.sub(old, new, text)
    return text


def make_certificate(directory):
    key, certificate = os.path.join(directory, "key.pem"), os.path.join(directory, "certificate.pem")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate],
                   check=True, capture_output=True)
    return key, certificate


class Nginx(Process):
    """deploy/nginx's files, with this test's addresses and a short read time-out."""

    def __init__(self, directory, gateways):
        self.port = free_port()
        key, self.certificate = make_certificate(directory)
        proxy = replaced(facts.read("deploy/nginx/proxy.conf"),
                         [(r"proxy_read_timeout \d+s", f"proxy_read_timeout {READ_TIMEOUT}s")])
        site = replaced(facts.read("deploy/nginx/site.conf"), [
            (r"listen 443 ssl", f"listen 127.0.0.1:{self.port} ssl"), (r"/etc/ssl/certs/\S+\.pem", self.certificate),
            (r"/etc/ssl/private/\S+\.key", key), (r"/etc/nginx/snippets/parley-proxy\.conf", f"{directory}/proxy.conf"),
            (r"/var/log/nginx", directory),
            (r"127\.0\.0\.1:8003", f"127.0.0.1:{gateways[0].port}"), (r"127\.0\.0\.1:8103", f"127.0.0.1:{gateways[1].port}")])
        kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        temporary = "".join(f"{kind}_temp_path {directory}/{kind};\n" for kind in kinds)
        whole = (f"daemon off;\nworker_processes 2;\npid {directory}/nginx.pid;\nerror_log stderr info;\nevents {{}}\n"
                 f"http {{\n{temporary}{site}\n}}\n")
        for name, text in (("proxy.conf", proxy), ("nginx.conf", whole)):
            with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                file.write(text)
        argv = [NGINX, "-p", directory, "-c", os.path.join(directory, "nginx.conf"), "-e", "stderr"]
        super().__init__("nginx", argv, dict(os.environ), os.path.join(directory, "nginx.log"))
        self.directory = directory

    def start(self):
        super().start()
        wait_until(lambda: "start worker process" in self.log() or not self.running, what="nginx")
        assert self.running, self.log()

    def access_log(self):
        with open(os.path.join(self.directory, "parley.access.log"), encoding="utf-8") as file:
            return file.read()

    def logs(self):
        """Everything that it has written down."""
        with open(os.path.join(self.directory, "parley.error.log"), encoding="utf-8") as file:
            return self.access_log() + file.read() + self.log()

    def connect(self, protocol, origin=None, query=""):
        return websockets.connect(
            f"wss://localhost:{self.port}/chat{protocol.path}{query}", ssl=ssl.create_default_context(cafile=self.certificate),
            origin=origin or f"https://localhost:{self.port}", ping_interval=None, open_timeout=10)


@pytest.fixture(scope="module")
def model():
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def stack(model):
    with Stack(model=model, WS_HEARTBEAT_INTERVAL=HEARTBEAT, WS_ALLOWED_ORIGINS="localhost") as running:
        running.start(router=1, agent=1, gateway=2, tools=1 if has("tools") else 0)
        yield running


@pytest.fixture(scope="module")
def nginx(stack, tmp_path_factory):
    process = Nginx(str(tmp_path_factory.mktemp("nginx")), stack.of("gateway"))
    process.start()
    yield process
    if process.running:
        process.stop()


def connections(gateway):
    return gateway.metric("parley_connections")


@pytest.fixture(params=sorted(PROTOCOLS))
def protocol(request):
    chosen = PROTOCOLS[request.param]
    if chosen.missing:
        pytest.skip(chosen.missing)
    return chosen


# ---- tests

def test_a_question_is_answered(nginx, protocol):
    async def scenario():
        async with nginx.connect(protocol) as socket:
            assert await protocol.ask(socket, "hello") == "You said: hello"
    asyncio.run(scenario())


def test_idle_connections_stay(nginx):
    """All protocols at once, for three times nginx's read time-out."""
    async def idle(protocol):
        async with nginx.connect(protocol) as socket:
            await asyncio.sleep(3 * READ_TIMEOUT + 1)
            assert await protocol.ask(socket, "still there?") == "You said: still there?"

    async def scenario():
        await asyncio.gather(*(idle(protocol) for protocol in PROTOCOLS.values() if not protocol.missing))
    asyncio.run(scenario())


def test_words_come_as_they_are_said(nginx, model):
    """nginx holds nothing back: the first word is there long before the last."""
    model.script("slowly", say([f"{n} " for n in range(20)], delay=0.1))
    protocol = PROTOCOLS["agent_engine"]

    async def scenario():
        loop = asyncio.get_running_loop()
        async with nginx.connect(protocol) as socket:
            await protocol.ask_only(socket, "slowly")
            times = []
            while True:
                frame = json.loads(await asyncio.wait_for(socket.recv(), 30))
                if frame["type"] == "stream_chunk":
                    times.append(loop.time())
                if protocol.is_last(frame):
                    return times
    times = asyncio.run(scenario())
    assert len(times) > 10 and times[-1] - times[0] > 1


def test_pages_and_rest_are_under_the_prefix(nginx):
    context = ssl.create_default_context(cafile=nginx.certificate)
    for path, wanted in (("/chat/", [200]), ("/chat/ws/statistics", [200]), ("/chat", [301]), ("/ws/statistics", [403, 404])):
        connection = http.client.HTTPSConnection("localhost", nginx.port, context=context, timeout=10)
        connection.request("GET", path)
        assert connection.getresponse().status in wanted, path
        connection.close()


def test_another_sites_page_is_refused(nginx):
    protocol = PROTOCOLS["agent_engine"]

    async def scenario():
        with pytest.raises(websockets.InvalidStatusCode) as refused:
            async with nginx.connect(protocol, origin="https://elsewhere.example"):
                pass
        assert refused.value.status_code == 403
    asyncio.run(scenario())


def test_a_gateway_taken_out_drains(nginx, stack, model):
    """Answers end, new clients come to the other at once, and those left behind are told to go."""
    model.script("long", say([f"{n} " for n in range(40)], delay=0.1))
    protocol, (leaving, staying) = PROTOCOLS["agent_engine"], stack.of("gateway")

    async def scenario():
        sockets = [await nginx.connect(protocol) for _ in range(6)]
        left_behind = connections(leaving)
        assert left_behind > 0 and connections(staying) > 0
        for socket in sockets:
            await protocol.ask_only(socket, "long")
            while json.loads(await asyncio.wait_for(socket.recv(), 30))["type"] != "stream_chunk":
                pass
        leaving.terminate()
        for _ in range(10):
            async with nginx.connect(protocol) as socket:
                assert await protocol.ask(socket, "new") == "You said: new"
        texts = await asyncio.gather(*(protocol.receive_answer(socket) for socket in sockets))
        assert all(text.endswith("38 39 ") for text in texts), texts
        codes = []
        for socket in sockets:
            try:
                await asyncio.wait_for(socket.wait_closed(), 3)
                codes.append(socket.close_code)
            except asyncio.TimeoutError:
                await socket.close()
        assert codes == [1001] * int(left_behind), codes
    asyncio.run(scenario())
    assert leaving.wait(20) == 0
    leaving.killed = True
    assert get(staying.ops_port, "/readyz")[0] == 200


def test_tokens_do_not_get_into_the_logs(nginx, stack):
    """Neither when all is well, nor when no gateway can be reached, which nginx would log with the whole request."""
    protocol, query = PROTOCOLS["agent_engine"], "?token=quitesecret&resume=secrettoo"

    async def answered():
        async with nginx.connect(protocol, query=query) as socket:
            assert await protocol.ask(socket, "hello") == "You said: hello"

    async def refused():
        with pytest.raises(websockets.InvalidStatusCode) as status:
            async with nginx.connect(protocol, query=query):
                pass
        assert status.value.status_code in (502, 504)
    asyncio.run(answered())
    for gateway in stack.running("gateway"):
        gateway.kill()
    asyncio.run(refused())
    wait_until(lambda: re.search(r'"GET /chat/ws/agent HTTP/1.1" 50[24] ', nginx.access_log()), what="nginx logs what it did")
    assert '"GET /chat/ws/agent HTTP/1.1" 101 ' in nginx.access_log()
    assert "quitesecret" not in nginx.logs() and "secrettoo" not in nginx.logs()
