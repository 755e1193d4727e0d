"""Three brokers from the files and the environment of deploy/k8s/overlays/cluster: everything has three replicas, and the death of
one in mid-load costs no completed turn."""

import asyncio
import json
import os
import shutil

import pytest

import facts
from client import connect, eventually
from manifests import KUBERNETES, Manifests, kubectl, render
from model_server import ModelServer, say
from process import Process, wait_until
from stack import Stack, free_port, get, has, sized

pytestmark = pytest.mark.skipif(kubectl()[0] is None, reason=str(kubectl()[1]))

NODES = 3
CLIENTS = sized(24, 6)
PASSWORD = "secret-1"


def overlay_environment():
    """What the overlay gives the broker's container, and its configuration file."""
    manifests = Manifests(render(os.path.join(KUBERNETES, "overlays", "cluster")))
    broker = manifests.find("StatefulSet", "nats")
    environment, faults = manifests.environment(broker)
    assert not faults
    file = os.path.basename(broker["spec"]["template"]["spec"]["containers"][0]["command"][-1])
    return environment, os.path.join(facts.DEPLOY, "nats", file)


class Node(Process):
    """One of them: the overlay's variables, but for its name, addresses, store and password."""

    def __init__(self, number, ports, routes, directory):
        self.port, self.cluster_port, self.monitor_port = ports
        given, configuration = overlay_environment()
        own = {
            "NATS_NAME": f"nats-{number}", "NATS_HOST": "127.0.0.1", "NATS_PORT": self.port,
            "NATS_CLUSTER_HOST": "127.0.0.1", "NATS_CLUSTER_PORT": self.cluster_port,
            "NATS_MONITOR": f"127.0.0.1:{self.monitor_port}", "NATS_STORE_DIR": os.path.join(directory, f"nats-{number}"),
            "NATS_AUTH_USER": '"parley"', "NATS_AUTH_PASSWORD": f'"{PASSWORD}"',
            **{f"NATS_ROUTE_{n}": f'"{route}"' for n, route in enumerate(routes, 1)}}
        assert set(own) <= set(given), "the overlay sets other variables"
        environment = {**os.environ, **{name: value or "" for name, value in given.items()},
                       **{name: str(value) for name, value in own.items()}}
        server = shutil.which("nats-server", path=os.environ.get("PATH", "") + ":/usr/sbin")
        super().__init__(f"nats-{number}", [server, "--config", configuration], environment,
                         os.path.join(directory, f"nats-{number}.log"))

    def monitor(self, path):
        try:
            status, body = get(self.monitor_port, path)
            return json.loads(body) if status == 200 else None
        except OSError:
            return None


class Cluster:
    """Stands in for the stack's broker."""

    name = "nats"

    def __init__(self, directory):
        ports = [(free_port(), free_port(), free_port()) for _ in range(NODES)]
        routes = [f"nats-route://parley:{PASSWORD}@127.0.0.1:{cluster}" for _, cluster, _ in ports]
        self.nodes = [Node(number, ports[number], routes, directory) for number in range(NODES)]
        self.url = ",".join(f"nats://127.0.0.1:{node.port}" for node in self.nodes)

    def start(self):
        for node in self.nodes:
            node.start()
        wait_until(self.formed, 30, "the cluster has a leader and three members")

    def formed(self):
        assert all(node.running for node in self.nodes), [node.log_tail() for node in self.nodes]
        known = [(node.monitor("/jsz") or {}).get("meta_cluster", {}) for node in self.nodes]
        return all(meta.get("leader") and meta.get("cluster_size") == NODES for meta in known)

    def streams(self):
        """{name: its detail as its leader sees it}"""
        found = {}
        for node in self.nodes:
            accounts = (node.monitor("/jsz?streams=true&config=true&consumers=true") or {}).get("account_details", [])
            for stream in [stream for account in accounts for stream in account.get("stream_detail", [])]:
                if stream.get("cluster", {}).get("leader") == node.name:
                    found[stream["name"]] = stream
        return found

    def in_step(self):
        """Each stream has a leader and two copies that lack nothing."""
        streams = self.streams().values()
        return len(streams) > 2 and all(replica["current"] for stream in streams for replica in stream["cluster"]["replicas"])

    def leader_of(self, stream):
        return next(node for node in self.nodes if node.name == self.streams()[stream]["cluster"]["leader"])

    # What a Stack asks of its broker.
    @property
    def running(self):
        return any(node.running for node in self.nodes)

    def thaw(self):
        pass

    def kill(self):
        for node in self.nodes:
            if node.running:
                node.kill()

    def log_tail(self):
        return "\n".join(f"{node.name}: {node.log_tail()}" for node in self.nodes)


@pytest.fixture(scope="module")
def model():
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def stack(model):
    running = Stack(model=model, STORE_REPLICAS=NODES, NATS_USER="parley", NATS_PASSWORD=PASSWORD)
    running.broker = Cluster(running.directory)
    running.settings["NATS_URL"] = running.broker.url
    with running:
        running.start(router=2, agent=2, gateway=2, tools=1 if has("tools") else 0)
        yield running


def has_replicas(raft_group):
    """Besides its leader; without one, as during an election, the monitor counts all."""
    return len(raft_group["cluster"]["replicas"]) == NODES - 1


def test_everything_has_three_replicas(stack):
    buckets = {f"KV_{name}" for key, name in facts.subjects().items() if key.startswith("BUCKET_")}
    wanted = {facts.subjects()["STREAM_JOBS"]} | buckets
    wait_until(lambda: wanted <= set(stack.broker.streams()), what="streams and buckets")
    for name, stream in stack.broker.streams().items():
        assert stream["config"]["num_replicas"] == NODES, name
    wait_until(lambda: all(map(has_replicas, stack.broker.streams().values())), what="replicas of all streams")
    wait_until(lambda: all(map(has_replicas, stack.broker.streams()["JOBS"]["consumer_detail"])), what="of the consumer")
    jobs = stack.broker.streams()["JOBS"]
    assert [consumer["name"] for consumer in jobs["consumer_detail"]] == [facts.subjects()["CONSUMER_AGENTS"]]


async def converse(stack, number, stop, counts):
    """Asks on one connection until told to stop. Refused while there is no broker: asked again. Once begun, an answer must come
    whole."""
    gateway = stack.of("gateway")[number % 2]
    async with connect(f"ws://127.0.0.1:{gateway.port}/ws/agent") as client:
        asked = 0
        while not stop.is_set():
            question = f"load {number}-{asked}"
            answer = await client.ask(question, timeout=90)
            if answer.types == ["error"]:
                counts["refused"] += 1
                await asyncio.sleep(0.2)
                continue
            assert answer.text == "".join(f"{question} {n} " for n in range(20)), (answer.types[-1], answer.text, answer.final)
            answer.check_streamed()
            counts["completed"] += 1
            asked += 1


@pytest.mark.parametrize("victim", ("jobs", "meta"))
def test_a_node_killed_in_mid_load_costs_no_turn(stack, model, victim):
    model.default = lambda request: say([f"{request.question} {n} " for n in range(20)], delay=0.05)
    cluster, counts = stack.broker, {"completed": 0, "refused": 0}
    leader = cluster.nodes[0].monitor("/jsz")["meta_cluster"]["leader"]
    node = cluster.leader_of("JOBS") if victim == "jobs" else next(node for node in cluster.nodes if node.name == leader)

    async def scenario():
        stop = asyncio.Event()
        load = [asyncio.ensure_future(converse(stack, number, stop, counts)) for number in range(CLIENTS)]
        await eventually(lambda: counts["completed"] >= CLIENTS, 60, "load")
        node.kill()
        before = counts["completed"]
        await eventually(lambda: counts["completed"] >= before + 4 * CLIENTS or any(task.done() for task in load), 90,
                         "the load goes on")
        stop.set()
        await asyncio.gather(*load)
    asyncio.run(scenario())
    print(f"{node.name} killed: {counts['completed']} turns completed, {counts['refused']} questions refused meanwhile")
    node.start()
    wait_until(cluster.formed, 30, "it is back")
    wait_until(cluster.in_step, 60, "it has caught up")
