"""The images from a clean clone, and docker-compose.yml with them on a real engine."""

import asyncio
import os
import re
import signal
import time

import pytest
import websockets

import facts
from engine import BASE, Engine, clean_clone, find, missing, run
from process import wait_until
from protocols import PROTOCOLS, Refused
from stack import METRIC, SERVICES, free_port, get

pytestmark = pytest.mark.skipif(missing() is not None, reason=f"no Docker engine can run here: {missing()}")

PORTS = ("PORT", "YYCHAT_PORT", "CONTACT_PORT", "LANGBOT_PORT", "MINIMAL_PORT")
QUESTION, ANSWER = "What is 123 + 456?", "579"
TAG = f"test-{os.getpid()}"
LARGEST_BYTES = 150 << 20
LONG_QUESTION = "Tell me about rivers in 120 words"  # always answered with the same
LOAD = 12  # conversations at a time


class Project:
    """docker-compose on a clean clone of the tree, with ports of its own."""

    def __init__(self, engine, directory):
        self.engine = engine
        self.directory = clean_clone(os.path.join(directory, "clone"))
        self.name = f"parleytest{os.getpid()}"
        self.ports = {name: free_port() for name in PORTS}
        self.configure()

    def configure(self, **settings):
        values = {"PARLEY_TAG": TAG, "DEMO_TOKENS_PER_SECOND": 60, **self.ports, **settings}
        with open(os.path.join(self.directory, ".env"), "w", encoding="utf-8") as file:
            file.writelines(f"{name}={value}\n" for name, value in values.items())

    def compose(self, *arguments):
        return run(find("docker-compose"), "--project-name", self.name, *arguments, cwd=self.directory,
                   env={name: value for name, value in self.engine.environment.items() if name not in PORTS})

    def up(self, *arguments):
        """Until everything is healthy; the seconds that it took."""
        began = time.monotonic()
        self.compose("up", "--detach", "--no-build", *arguments)
        wait_until(self.healthy, 60, "everything is healthy")
        return time.monotonic() - began

    def containers(self, service=None):
        """What `docker inspect` says of each."""
        filters = ["--filter", f"label=com.docker.compose.project={self.name}"]
        if service:
            filters += ["--filter", f"label=com.docker.compose.service={service}"]
        names = self.engine.docker("ps", "--all", "--quiet", *filters).split()
        return [self.engine.inspect(name) for name in names]

    def healthy(self, service=None):
        states = [container["State"] for container in self.containers(service)]
        return bool(states) and all(state.get("Health", {}).get("Status") == "healthy" for state in states)

    def metric(self, container, name, label=""):
        address = next(network["IPAddress"] for network in container["NetworkSettings"]["Networks"].values())
        matches = [METRIC.match(line) for line in get(9090, "/metrics", host=address)[1].splitlines()]
        return sum(float(match[3]) for match in matches if match and match[1] == name and label in (match[2] or ""))

    def completed(self):
        return {container["Name"]: self.metric(container, "parley_turns_total", "completed")
                for container in self.containers("agent")}

    def url(self, protocol, setting="PORT"):
        return f"ws://127.0.0.1:{self.ports[setting]}{protocol.path}"

    def down(self, *arguments):
        self.compose("down", "--timeout", "20", *arguments)


@pytest.fixture(scope="module")
def engine():
    with Engine() as running:
        yield running


@pytest.fixture(scope="module")
def project(engine, tmp_path_factory):
    made = Project(engine, str(tmp_path_factory.mktemp("docker")))
    yield made
    made.configure(COMPOSE_PROFILES="scaled")
    made.down("--volumes", "--remove-orphans")
    if not engine.daemon:
        engine.docker("rmi", "--force", BASE, *(f"parley-{target}:{TAG}" for target in facts.image_targets()))


@pytest.fixture(scope="module")
def images(engine, project):
    """{target: bytes}"""
    sizes = {}
    for target in facts.image_targets():
        engine.docker("build", "--quiet", "--network", "host", "--build-arg", f"BASE={BASE}", "--file",
                      os.path.join(project.directory, "deploy/docker/Dockerfile"), "--target", target, "--tag",
                      f"parley-{target}:{TAG}", project.directory)
        sizes[target] = engine.inspect(f"parley-{target}:{TAG}")["Size"]
    return sizes


@pytest.fixture(scope="module")
def running(project, images):
    assert images
    print(f"everything healthy after {project.up():.1f} s")
    return project


async def ask(url, protocol=PROTOCOLS["agent_engine"], question=QUESTION):
    async with websockets.connect(url, open_timeout=10, max_size=None) as socket:
        return await protocol.ask(socket, question)


def ask_until_answered(project, timeout=30):
    """As a client that tries again would."""
    def answered():
        try:
            return ANSWER in asyncio.run(ask(project.url(PROTOCOLS["agent_engine"])))
        except (OSError, Refused, websockets.WebSocketException, asyncio.TimeoutError):
            return False
    wait_until(answered, timeout, "a question is answered")


# ---- images

def test_images_are_small_and_hold_no_tools(engine, images):
    for target, size in sorted(images.items()):
        print(f"parley-{target}: {size / 1e6:.0f} MB")
        assert size < LARGEST_BYTES, target
        config = engine.inspect(f"parley-{target}:{TAG}")["Config"]
        assert config["User"] == "10001:10001" and config["Healthcheck"]["Test"], target
        look = "command -v cc gcc cmake ninja curl wget python3; find / -name '*.[ch]' -o -name '*_test*' 2>/dev/null | grep parley"
        found = engine.docker("run", "--rm", "--network", "none", "--read-only", "--entrypoint", "sh", f"parley-{target}:{TAG}",
                              "-c", f"({look}) || true")
        assert found == "", f"{target}: {found}"


def test_everything_runs_confined(engine, running):
    for container in running.containers():
        name = container["Config"]["Labels"]["com.docker.compose.service"]
        assert container["HostConfig"]["ReadonlyRootfs"] and container["HostConfig"]["Memory"], name
        status = open(f"/proc/{container['State']['Pid']}/status", encoding="utf-8").read()
        assert re.search(r"^Uid:\t10001", status, re.M) and re.search(r"^CapEff:\t0+$", status, re.M), name
        if name in SERVICES:
            assert engine.docker("exec", container["Id"], f"parley-{name}", "--check") == "ready\n"


# ---- protocols

@pytest.mark.parametrize("name", sorted(PROTOCOLS))
def test_a_question_is_answered(running, name):
    protocol = PROTOCOLS[name]
    if protocol.missing:
        pytest.skip(protocol.missing)
    own = {"yychat": "YYCHAT_PORT", "contact": "CONTACT_PORT", "langbot": "LANGBOT_PORT", "minimal": "MINIMAL_PORT"}
    assert ANSWER in asyncio.run(ask(running.url(protocol, own.get(name, "PORT")), protocol))


# ---- scaling

async def converse(url, stop, answers):
    """Asks for long answers on one connection; each must come whole."""
    protocol = PROTOCOLS["agent_engine"]
    async with websockets.connect(url, open_timeout=10, max_size=None, ping_timeout=None) as socket:
        while not stop.is_set():
            answers.append(await protocol.ask(socket, LONG_QUESTION))


async def under_load(project, change, enough):
    """Runs `change` in the middle of the load, and then waits for `enough`."""
    stop, answers = asyncio.Event(), []
    load = [asyncio.ensure_future(converse(project.url(PROTOCOLS["agent_engine"]), stop, answers)) for _ in range(LOAD)]
    await asyncio.sleep(1)
    await asyncio.to_thread(change)
    deadline = time.monotonic() + 60
    while not await asyncio.to_thread(enough):
        assert time.monotonic() < deadline and not any(task.done() for task in load), load
        await asyncio.sleep(0.2)
    stop.set()
    await asyncio.gather(*load)
    return answers


def test_agents_scale_out_and_back_under_load(running):
    wanted = asyncio.run(ask(running.url(PROTOCOLS["agent_engine"]), question=LONG_QUESTION))
    assert len(wanted) > 500, wanted
    before = sum(running.completed().values())

    answers = asyncio.run(under_load(running, lambda: running.up("--scale", "agent=3"),
                                     lambda: min(running.completed().values()) >= LOAD / 4))
    shares = running.completed()
    print(f"with three agents: {sorted(shares.values())} turns each")
    assert len(shares) == 3 and set(answers) == {wanted}
    assert sum(shares.values()) == before + len(answers)

    gone = []

    def back():
        running.up("--scale", "agent=1")
        gone.append(len(running.containers("agent")))
    answers = asyncio.run(under_load(running, back, lambda: True))
    assert gone == [1] and answers and set(answers) == {wanted}, set(answers)
    assert ANSWER in asyncio.run(ask(running.url(PROTOCOLS["agent_engine"])))


def test_two_gateways_behind_nginx(running):
    running.configure(COMPOSE_PROFILES="scaled", **{name: "" for name in PORTS},
                      **{f"NGINX_{name}": port for name, port in running.ports.items()})
    running.up("--scale", "gateway=2")
    assert len(running.containers("gateway")) == 2

    async def spread():
        for setting in PORTS:
            assert ANSWER in await ask(running.url(PROTOCOLS["agent_engine"], setting))
        await asyncio.gather(*(ask(running.url(PROTOCOLS["agent_engine"])) for _ in range(LOAD)))
    asyncio.run(spread())
    shares = [running.metric(container, "parley_turns_total", "completed") for container in running.containers("gateway")]
    assert min(shares) > 0, shares
    running.configure(COMPOSE_PROFILES="scaled")
    running.compose("rm", "--stop", "--force", "nginx")
    running.configure()
    running.up()


# ---- deaths

@pytest.mark.parametrize("service", ["nats", *SERVICES])
def test_a_killed_container_comes_back(running, service):
    victim = running.containers(service)[0]
    began = time.monotonic()
    os.kill(victim["State"]["Pid"], signal.SIGKILL)  # `docker kill` would count as wanted, and nothing would restart it

    def back():
        now = running.engine.inspect(victim["Id"])
        return now["RestartCount"] == victim["RestartCount"] + 1 and now["State"]["Running"]
    wait_until(back, 30, f"{service} is restarted")
    wait_until(running.healthy, 60, "everything is healthy")
    print(f"{service}: healthy again after {time.monotonic() - began:.1f} s")
    ask_until_answered(running)


# ---- what is kept

MEMORY = PROTOCOLS["yychat"]


@pytest.mark.skipif(MEMORY.missing is not None, reason=str(MEMORY.missing))
def test_conversations_are_backed_up_and_restored(running, tmp_path):
    """As deploy/README.md says."""
    asyncio.run(ask(running.url(MEMORY), MEMORY, "My name is Ada."))
    readme = facts.read("deploy/README.md")
    backup = re.search(r"^    (docker run .*-cf .*)$", readme, re.M)[1]
    restore = re.search(r"^    (docker run .*-xf .*)$", readme, re.M)[1]

    def shell(command):
        command = command.replace("parley_nats", f"{running.name}_nats").replace("parley-nats", f"parley-nats:{TAG}")
        run("sh", "-c", command, cwd=str(tmp_path), env=running.engine.environment)
    running.down()
    shell(backup)
    running.down("--volumes")
    running.up()
    assert "Ada" not in asyncio.run(ask(running.url(MEMORY), MEMORY, "What is my name?"))
    running.down("--volumes")
    running.compose("up", "--no-start", "--no-build", "nats")
    shell(restore)
    running.up()
    assert "Ada" in asyncio.run(ask(running.url(MEMORY), MEMORY, "What is my name?"))


def test_everything_stops_in_order(running):
    running.compose("stop")
    for container in running.containers():
        name = container["Config"]["Labels"]["com.docker.compose.service"]
        # nats-server 2.9 exits with 1 after SIGTERM.
        assert container["State"]["ExitCode"] in ((0, 1) if name == "nats" else (0,)), name
