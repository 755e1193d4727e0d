"""A whole parley for one test: a real nats-server and any number of services, on ports of their own.

    with Stack(model=server) as stack:
        stack.start(router=1, agent=2, gateway=1)
        asyncio.run(scenario(stack))

Leaving the block ends everything, gateways first, and checks it: what was not stopped by the test still runs, every
service exits 0 on SIGTERM within bounds, and no log holds a sanitizer's report or a failed assertion.
"""

import http.client
import json
import os
import random
import re
import shutil
import socket
import sys
import tempfile

from process import Process, wait_until

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get("PARLEY_BUILD", os.path.join(TOP, "build"))
SERVICES = ("gateway", "router", "agent", "tools", "demo-model")  # in the order in which they are stopped
STOP_SECONDS = 30
METRIC = re.compile(r"^(\w+)(?:\{(.*)\})? ([-+0-9.eE]+|NaN|[+-]Inf)$")


def sanitizer():
    """address, thread, or an empty string: how the programs under test were built."""
    try:
        with open(os.path.join(BUILD, "CMakeCache.txt"), encoding="utf-8") as cache:
            return re.search(r"^PARLEY_SANITIZE:\w+=(\w*)$", cache.read(), re.MULTILINE)[1]
    except (OSError, TypeError):
        return ""


def sized(normal, sanitized):
    """A test's size: the real one, or a smaller one under the sanitizers, which make everything many times slower."""
    return sanitized if sanitizer() else normal


def program(service):
    return os.path.join(BUILD, "bin", f"parley-{service}")


def has(service):
    return os.path.exists(program(service))


def free_port():
    """Below the range that the kernel takes for outgoing connections, so that none of those is in the way later."""
    while True:
        port = random.randint(20000, 32000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
                return port
            except OSError:
                continue


def get(port, path, host="127.0.0.1", timeout=5, **headers):
    """GET: status and body."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def call(port, method, path, body=None, timeout=15, **headers):
    """A call over HTTP: status and what its JSON says. `body`: bytes as they are, anything else as JSON."""
    if body is not None and not isinstance(body, bytes):
        body = json.dumps(body).encode()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body, {"Content-Type": "application/json", **headers})
        response = connection.getresponse()
        assert response.headers["Content-Type"] == "application/json", response.headers
        return response.status, json.loads(response.read())
    finally:
        connection.close()


class Broker(Process):
    def __init__(self, directory):
        self.port = free_port()
        self.monitor_port = free_port()
        self.url = f"nats://127.0.0.1:{self.port}"
        environment = dict(
            os.environ, NATS_HOST="127.0.0.1", NATS_PORT=str(self.port), NATS_STORE_DIR=os.path.join(directory, "nats"),
            NATS_MAX_FILE_STORE="4GB")
        server = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin")
        configuration = os.path.join(TOP, "deploy", "nats", "nats.conf")
        argv = [server, "-c", configuration, "-m", str(self.monitor_port)]
        super().__init__("nats", argv, environment, os.path.join(directory, "nats.log"))

    def start(self):
        super().start()
        wait_until(lambda: "Server is ready" in self.log() or not self.running, what="nats-server")
        assert self.running, self.log()

    def subscriptions(self):
        """Of all its clients together."""
        clients = json.loads(get(self.monitor_port, "/connz?limit=1000")[1])["connections"]
        return sum(client["subscriptions"] for client in clients)

    def request(self, subject, payload=b"", timeout=5):
        """One request over NATS' own protocol: the reply's bytes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout) as connection:
            stream = connection.makefile("rwb")
            stream.readline()  # INFO
            stream.write(b'CONNECT {"verbose":false}\r\nSUB parley-test.reply 1\r\n')
            stream.write(b"PUB %s parley-test.reply %d\r\n%s\r\n" % (subject.encode(), len(payload), payload))
            stream.flush()
            for line in stream:
                if line.startswith(b"MSG "):
                    return stream.read(int(line.split()[-1]))
                assert not line.startswith(b"-ERR"), line
        raise AssertionError(f"no reply from {subject}")


class Service(Process):
    def __init__(self, service, name, environment, directory):
        super().__init__(name, [program(service)], environment, os.path.join(directory, f"{name}.log"))
        self.service = service
        self.port = int(environment["PORT"]) if "PORT" in environment else None

    def log_lines(self):
        """Its log as objects."""
        return [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]

    def logged(self, message):
        """The log's first line with this message, or None."""
        return next((line for line in self.log_lines() if line.get("message") == message), None)

    @property
    def ops_port(self):
        line = wait_until(lambda: self.logged("operations port") or not self.running, what=f"{self.name}'s ops port")
        assert line is not True, f"{self.name} ended: {self.log_tail()}"
        return line["port"]

    def ready(self):
        try:
            return get(self.ops_port, "/readyz")[0] == 200
        except OSError:
            return False

    def wait_ready(self, timeout=30):
        wait_until(lambda: self.ready() or not self.running, timeout, f"{self.name} is ready")
        assert self.running, f"{self.name} ended: {self.log_tail()}"

    def metrics(self):
        """[(name, labels as written, value)]"""
        matches = (METRIC.match(line) for line in get(self.ops_port, "/metrics")[1].splitlines())
        return [(match[1], match[2] or "", float(match[3])) for match in matches if match]

    def metric(self, name, label=""):
        """The sum over all of that name whose labels hold the text."""
        values = [value for found, labels, value in self.metrics() if found == name and label in labels]
        assert values, f"{self.name} has no metric {name}{{{label}}}"
        return sum(values)


class Stack:
    def __init__(self, model=None, **settings):
        """`settings`: environment variables for every service."""
        self.directory = tempfile.mkdtemp(prefix="parley-test-")
        self.broker = Broker(self.directory)
        self.services = []
        self.show_logs = False  # at the end, also where nothing is wrong with the processes
        self.settings = {
            "LOG_FORMAT": "json", "LOG_LEVEL": "debug", "DRAIN_SECONDS": "10", "NATS_URL": self.broker.url,
            "OPENAI_API_KEY": "secret", "OPENAI_MODEL": "scripted",
            "OPENAI_BASE_URL": model.url if model else "http://127.0.0.1:9/v1"}
        self.settings.update({name: str(value) for name, value in settings.items()})

    def __enter__(self):
        try:
            self.broker.start()
        except BaseException:
            self._end()
            raise
        return self

    # ---- starting

    def environment(self, service, **settings):
        kept = {name: value for name, value in os.environ.items()
                if name in ("PATH", "HOME", "LANG", "TMPDIR") or name.endswith("SAN_OPTIONS")}
        kept.update(self.settings, OPS_PORT="0")
        if service in ("gateway", "demo-model"):
            kept.setdefault("PORT", str(free_port()))
        kept.update({name: str(value) for name, value in settings.items()})
        return kept

    def add(self, service, ready=True, **settings):
        """Starts one more process of that service, with settings of its own, and waits until it is ready."""
        number = 1 + sum(other.service == service for other in self.services)
        process = Service(service, f"{service}-{number}", self.environment(service, **settings), self.directory)
        self.services.append(process)
        process.start()
        if ready:
            process.wait_ready()
        return process

    def start(self, **counts):
        """start(router=2, agent=3, gateway=1): all at once, then waits for all."""
        started = [self.add(service.replace("_", "-"), ready=False) for service, count in counts.items()
                   for _ in range(count)]
        for process in started:
            process.wait_ready()
        return started

    def restart(self, process):
        process.start()
        process.wait_ready()

    def remove(self, process):
        """Ends one as an operator would, and expects 0."""
        assert process.stop(STOP_SECONDS) == 0, f"{process.name}: {process.log_tail()}"
        process.killed = True

    # ---- finding

    def of(self, service):
        return [process for process in self.services if process.service == service]

    def running(self, service=None):
        return [process for process in self.services if process.running and service in (None, process.service)]

    @property
    def gateway(self):
        return self.of("gateway")[0]

    @property
    def url(self):
        return f"ws://127.0.0.1:{self.gateway.port}/ws/agent"

    def metric(self, service, name, label=""):
        """Over all processes of the service that run."""
        return sum(process.metric(name, label) for process in self.running(service))

    # ---- the end

    def __exit__(self, kind, error, trace):
        problems = [] if error else self._gone()
        problems += self._stop()
        problems += [f"{process.name}: {process.report()}" for process in self.services if process.report()]
        self._end(show=bool(error or problems or self.show_logs))
        assert error or not problems, "; ".join(problems)
        if error and problems:
            print("besides:", "; ".join(problems), file=sys.stderr)

    def _gone(self):
        return [f"{process.name} ended by itself with {process.popen.returncode}" for process in self.services
                if not process.running and not process.killed]

    def _stop(self):
        problems = []
        for service in SERVICES:
            running = self.running(service)
            for process in running:
                process.thaw()
                process.terminate()
            for process in running:
                problems += self._stopped(process)
        return problems

    @staticmethod
    def _stopped(process):
        try:
            status = process.wait(STOP_SECONDS)
        except AssertionError as error:
            return [str(error)]
        return [f"{process.name} exited with {status}"] if status else []

    def _end(self, show=False):
        if self.broker.running:
            self.broker.thaw()
            self.broker.kill()
        if show:
            for process in [*self.services, self.broker]:
                print(f"--- {process.name}\n{process.log_tail()}", file=sys.stderr)
        for process in self.services:
            if process.running:
                process.kill()
        if not os.environ.get("PARLEY_KEEP"):
            shutil.rmtree(self.directory, ignore_errors=True)
