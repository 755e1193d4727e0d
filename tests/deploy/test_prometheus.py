"""Debian's Prometheus with deploy/prometheus' rules in front of a running stack: promtool is content, every query of the dashboard
and of the rules finds data, and an alert fires when the agent is stopped."""

import asyncio
import json
import math
import os
import re
import shutil
import subprocess
import urllib.parse

import pytest
import yaml

import facts
from client import connect
from model_server import ModelServer, call, refuse, report_results, say
from process import Process, wait_until
from stack import Stack, free_port, get

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
pytestmark = pytest.mark.skipif(not PROMETHEUS or not PROMTOOL, reason="prometheus is not installed")

DIRECTORY = os.path.join(facts.DEPLOY, "prometheus")
JOBS = ("gateway", "router", "agent", "tools")


def promtool(*arguments):
    done = subprocess.run([PROMTOOL, *arguments], cwd=DIRECTORY, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_promtool_is_content():
    found = re.search(r"SUCCESS: (\d+) rules found", promtool("check", "rules", "rules.yml"))
    assert int(found[1]) == len(rules())
    promtool("check", "config", "prometheus.yml")
    promtool("test", "rules", "rules_test.yml")


def test_promtool_finds_a_wrong_rule(tmp_path):
    text = facts.read("deploy/prometheus/rules.yml").replace("> 0.05", "> 0.5")
    (tmp_path / "rules.yml").write_text(text, encoding="utf-8")
    shutil.copy(os.path.join(DIRECTORY, "rules_test.yml"), tmp_path)
    done = subprocess.run([PROMTOOL, "test", "rules", "rules_test.yml"], cwd=tmp_path, capture_output=True, check=False)
    assert done.returncode != 0


def rules():
    groups = yaml.safe_load(facts.read("deploy/prometheus/rules.yml"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels():
    """[(title, query)]"""
    found = json.loads(facts.read("deploy/grafana/parley.json"))["panels"]
    return [(panel["title"], target["expr"]) for panel in found for target in panel.get("targets", [])]


class Prometheus(Process):
    """deploy/prometheus' configuration, but each second, with the stack's ports for names and no patience in its rules."""

    def __init__(self, stack, directory):
        self.port = free_port()
        config = yaml.safe_load(facts.read("deploy/prometheus/prometheus.yml"))
        config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
        for job in config["scrape_configs"]:
            del job["dns_sd_configs"]
            targets = [f"127.0.0.1:{process.ops_port}" for process in stack.of(job["job_name"])]
            job["static_configs"] = [{"targets": targets}]
        impatient = re.sub(r"for: \w+", "for: 1s", facts.read("deploy/prometheus/rules.yml"))
        for name, text in (("prometheus.yml", yaml.safe_dump(config)), ("rules.yml", impatient)):
            with open(os.path.join(directory, name), "w", encoding="utf-8") as file:
                file.write(text)
        argv = [PROMETHEUS, f"--config.file={directory}/prometheus.yml", f"--storage.tsdb.path={directory}/data",
                f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=warn"]
        super().__init__("prometheus", argv, dict(os.environ), os.path.join(directory, "prometheus.log"))

    def start(self):
        super().start()
        wait_until(self.ready, 30, "prometheus")

    def ready(self):
        assert self.running, self.log()
        try:
            return get(self.port, "/-/ready")[0] == 200
        except OSError:
            return False

    def query(self, expression):
        """[(labels, value)]"""
        status, body = get(self.port, "/api/v1/query?" + urllib.parse.urlencode({"query": expression}))
        assert status == 200, body
        result = json.loads(body)["data"]
        if result["resultType"] == "scalar":
            return [({}, float(result["result"][1]))]
        return [(item["metric"], float(item["value"][1])) for item in result["result"]]

    def alerts(self):
        """{(name, job)} of those that fire"""
        found = json.loads(get(self.port, "/api/v1/alerts")[1])["data"]["alerts"]
        return {(alert["labels"]["alertname"], alert["labels"].get("job")) for alert in found if alert["state"] == "firing"}


@pytest.fixture(scope="module")
def stack():
    with ModelServer() as model:
        model.script("tool", call(("calculator", {"expression": "1+1"})), report_results())
        model.script("broken", refuse(400))
        model.script("slow", say(["word "] * 200, delay=0.05))
        with Stack(model=model) as running:
            running.start(router=1, agent=1, tools=1, gateway=1)
            yield running


@pytest.fixture(scope="module")
def prometheus(stack, tmp_path_factory):
    process = Prometheus(stack, str(tmp_path_factory.mktemp("prometheus")))
    process.start()
    yield process
    if process.running:
        process.stop()


async def traffic(stack):
    """A bit of everything: an answer, a tool, a failure, a cancellation."""
    async with connect(stack.url) as client:
        assert (await client.ask("hello")).final["type"] == "stream_end"
        assert (await client.ask("tool")).final["type"] == "stream_end"
        assert (await client.ask("broken")).final["type"] == "error"
        await client.ask_only("slow")
        await client.until_chunk()
        await client.send({"type": "cancel"})
        assert (await client.collect()).final["type"] == "cancelled"


def scraped(prometheus):
    """Each process several times, and the traffic."""
    rate = 'rate(parley_turns_total{state="cancelled"}[30s])'
    return all(value >= 3 for _, value in prometheus.query("count_over_time(up[30s])")) and any(
        value > 0 for _, value in prometheus.query(rate))


def without(expression):
    """A rule's expression without its threshold, so that it finds what it looks at."""
    return re.sub(r"\s*(?:>|==)\s*[\d.]+\s*$", "", expression)


def test_every_query_finds_data(stack, prometheus):
    wait_until(lambda: len(prometheus.query("up == 1")) == len(JOBS), what="all are scraped")
    asyncio.run(traffic(stack))
    wait_until(lambda: scraped(prometheus), what="the traffic is scraped")
    queries = panels() + [(rule["alert"], without(rule["expr"])) for rule in rules() if "absent(" not in rule["expr"]]
    assert len(queries) > 35
    empty = []
    for title, expression in queries:
        found = prometheus.query(re.sub(r"\[\w+\]", "[30s]", expression.replace("$__rate_interval", "30s")))
        if not any(math.isfinite(value) for _, value in found):
            empty.append(f"{title}: {expression}")
    assert empty == []


def test_the_fill_of_each_store_is_measured(stack):
    (router,) = stack.of("router")
    wait_until(lambda: sum(name == "parley_store_bytes" for name, _, _ in router.metrics()) == len(facts.stores()), 30,
               "all are measured")
    stack.broker.request("$KV.parley_turns.filler", b"x" * 100_000)
    wait_until(lambda: router.metric("parley_store_bytes", "KV_parley_turns") > 100_000, 30, "what it holds")
    assert router.metric("parley_store_max_bytes", "KV_parley_turns") == facts.value_of("router", {}, "TURNS_MAX_BYTES")


def test_an_alert_fires_when_the_agent_is_stopped(stack, prometheus):
    agent = stack.of("agent")[0]
    gone = {("ParleyServiceGone", "agent"), ("ParleyProcessDown", "agent")}
    wait_until(lambda: not prometheus.alerts() & gone, 30, "no alert while it runs")
    stack.remove(agent)
    wait_until(lambda: gone <= prometheus.alerts(), 30, "the alerts")
    assert ("ParleyServiceGone", "router") not in prometheus.alerts()
    replacement = stack.add("agent", OPS_PORT=agent.ops_port)
    wait_until(lambda: not prometheus.alerts() & gone, 30, "the alerts end")
    assert replacement.running
