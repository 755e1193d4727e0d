"""What every service does: settings, logs, the operations port, an orderly end, and patience with its broker."""

import asyncio
import ctypes
import json
import os
import re
import signal
import subprocess
import time

import pytest

from client import connect, eventually
from model_server import say
from process import wait_until
from stack import SERVICES, Service, Stack, get, has, program, sized

BUILT = [service for service in SERVICES if has(service)]
ON_THE_BUS = [service for service in BUILT if service != "demo-model"]
START_SECONDS = sized(1.0, 10.0)


def call(service, *arguments, **environment):
    return subprocess.run([program(service), *arguments], env={"PATH": "/bin", **environment}, text=True, timeout=30,
                          capture_output=True, check=False)


@pytest.mark.parametrize("service", BUILT)
def test_help_and_version(service):
    helped = call(service, "--help")
    assert helped.returncode == 0 and not helped.stderr
    for name in ("OPS_PORT", "LOG_LEVEL", "DRAIN_SECONDS", "--check", "--version"):
        assert name in helped.stdout
    version = call(service, "--version")
    assert version.returncode == 0 and re.fullmatch(rf"parley-{service} \d+\.\d+\.\d+\n", version.stdout)
    wrong = call(service, "--nonsense")
    assert wrong.returncode == 2 and "--help" in wrong.stderr


@pytest.mark.parametrize("service", BUILT)
@pytest.mark.parametrize("name, value", [
    ("OPS_PORT", "99999"), ("OPS_PORT", "-1"), ("OPS_PORT", "80x"), ("DRAIN_SECONDS", "99999999999999999999"),
    ("LOG_LEVEL", "loud"), ("LOG_FORMAT", "xml"), ("OPS_PORT", " 1"), ("OPS_PORT", "0x10")])
def test_a_wrong_setting_is_named(service, name, value):
    ended = call(service, **{name: value})
    assert ended.returncode == 2
    assert name in ended.stderr and value in ended.stderr and len(ended.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("url", ["http://x", "nats://127.0.0.1:notaport", "nats://a:4222,nats://b:0", "nats://", ","])
def test_a_wrong_broker_is_named(url):
    ended = call("router", NATS_URL=url)
    assert ended.returncode == 2 and "NATS_URL" in ended.stderr


def test_a_wrong_secret_is_named_but_not_shown():
    ended = call("router", NATS_PASSWORD="hush", NATS_PASSWORD_FILE="/nowhere")
    assert ended.returncode == 2 and "NATS_PASSWORD" in ended.stderr and "hush" not in ended.stderr
    ended = call("router", NATS_PASSWORD_FILE="/nowhere/at/all")
    assert ended.returncode == 2 and "NATS_PASSWORD_FILE" in ended.stderr


def test_settings_of_their_own_are_checked():
    for service, name, value in [("gateway", "PORT", "70000"), ("gateway", "HOST", "localhost"),
                                 ("gateway", "WS_MAX_CONNECTIONS", "0"), ("agent", "OPENAI_BASE_URL", "ftp://x"),
                                 ("agent", "AGENT_MAX_TURNS", "none"), ("router", "TURN_START_TIMEOUT_MS", "1")]:
        ended = call(service, **{name: value})
        assert ended.returncode == 2 and name in ended.stderr, (service, name, ended)


@pytest.fixture(scope="module")
def stack(model):
    with Stack(model=model) as running:
        for service in BUILT:
            running.add(service, ready=False)
        for process in running.services:
            process.wait_ready()
        yield running


@pytest.mark.parametrize("service", BUILT)
def test_operations_port(stack, service):
    process = stack.of(service)[0]
    assert get(process.ops_port, "/healthz")[0] == 200
    assert get(process.ops_port, "/readyz")[0] == 200
    assert get(process.ops_port, "/elsewhere")[0] == 404
    status, text = get(process.ops_port, "/metrics")
    assert status == 200 and process.metric("parley_ready") == 1 and process.metric("parley_up") == 1
    names = set()
    for line in text.splitlines():
        if line.startswith("# "):
            names.add(line.split()[2])
        else:
            name = re.match(r"^([a-z_:][a-z0-9_:]*)(\{.*\})? \S+$", line)
            assert name, line
            assert name[1] in names or re.sub("_(bucket|sum|count)$", "", name[1]) in names, line
    checked = call(service, "--check", OPS_PORT=str(process.ops_port))
    assert checked.returncode == 0, checked


@pytest.mark.parametrize("service", BUILT)
def test_check_fails_where_nobody_is(service):
    checked = call(service, "--check", OPS_PORT="9")
    assert checked.returncode == 1 and checked.stderr


@pytest.mark.parametrize("service", BUILT)
def test_logs_are_json_lines_or_text(stack, service):
    for line in stack.of(service)[0].log().splitlines():
        value = json.loads(line)
        assert {"time", "level", "service", "message"} <= set(value) and value["service"] == service
    readable = stack.add(service, LOG_FORMAT="text", LOG_LEVEL="info", ready=False)
    wait_until(lambda: "operations port" in readable.log(), what="a readable log")
    assert re.search(r"^\S+ info +operations port port=\d+$", readable.log(), re.MULTILINE)
    stack.remove(readable)


@pytest.mark.parametrize("service", BUILT)
def test_starts_within_a_second_and_ends_with_0(stack, service):
    took = []
    for _ in range(3):  # the machine may be busy with other things
        begun = time.monotonic()
        process = stack.add(service)
        took.append(time.monotonic() - begun)
        if took[-1] < START_SECONDS:
            break
        stack.remove(process)
    assert took[-1] < START_SECONDS, took
    begun = time.monotonic()
    stack.remove(process)
    assert time.monotonic() - begun < 5, "there was nothing to wait for"
    assert process.logged("draining") and process.logged("stopped")


@pytest.mark.parametrize("service", ON_THE_BUS)
def test_waits_for_a_broker_that_comes_later(model, service):
    with Stack(model=model) as lonely:
        lonely.broker.kill()
        process = lonely.add(service, ready=False)
        wait_until(lambda: get(process.ops_port, "/healthz")[0] == 200, what="healthy without a broker")
        status, reason = get(process.ops_port, "/readyz")
        assert status == 503 and reason.strip()
        checked = call(service, "--check", OPS_PORT=str(process.ops_port))
        assert checked.returncode == 1 and reason.strip() in checked.stderr
        lonely.broker.start()
        process.wait_ready(20)
        lonely.broker.kill()
        wait_until(lambda: not process.ready(), what="not ready without a broker")
        assert process.stop() == 0, "it ends in order without a broker too"
        process.killed = True


def test_a_port_in_use_is_named(stack):
    taken = stack.gateway.port
    ended = call("gateway", PORT=str(taken), NATS_URL=stack.broker.url)
    assert ended.returncode != 0 and str(taken) in ended.stderr


def test_a_broker_restart_is_survived(stack, model):
    model.script("long", say([f"{n} " for n in range(100)], delay=0.03))

    async def scenario():
        async with connect(stack.url) as client:
            (await client.ask("before")).check_streamed()
            await asyncio.to_thread(stack.broker.kill)
            await eventually(lambda: not stack.gateway.ready(), what="the gateway notices")
            begun = time.monotonic()
            answer = await client.ask("meanwhile")
            assert answer.final["type"] == "error" and time.monotonic() - begun < 10, "refused at once"
            await client.ping()
            await asyncio.to_thread(stack.broker.start)
            for process in stack.running():
                await eventually(process.ready, 30, f"{process.name} is ready again")
            (await client.ask("after")).check_streamed()
        said = [message["content"] for message in model.asked("after")[0].messages]
        assert "before" in said, "what was acknowledged is kept"
    asyncio.run(scenario())


def test_a_signal_does_not_cost_the_connection_whichever_thread_it_is_for(stack):
    """The kernel chooses one: so a child's end, or an operator's word, came to a thread of the broker's library."""
    def lost():
        return [process.log().count("broker connection lost") for process in stack.running()]

    before = lost()
    for process in stack.running():
        for thread in os.listdir(f"/proc/{process.pid}/task"):
            assert ctypes.CDLL(None).tgkill(process.pid, int(thread), signal.SIGHUP) == 0

    async def scenario():
        async with connect(stack.url) as client:
            (await client.ask("after the signals")).check_streamed()
            await client.send({"type": "tool_call", "tool_name": "calculator", "params": {"expression": "1 + 1"}})
            assert (await client.expect("tool_result"))["result"] == 2
    asyncio.run(scenario())
    assert lost() == before


def test_an_answer_in_flight_survives_a_broker_restart(stack, model):
    model.script("gap", say([f"{n} " for n in range(200)], delay=0.02))

    async def scenario():
        async with connect(stack.url) as client:
            await client.ask_only("gap")
            text = await client.until_chunk()
            await asyncio.to_thread(stack.broker.kill)
            await asyncio.sleep(0.3)
            await client.send({"type": "ping"})
            while (frame := await client.receive(5))["type"] != "pong":
                text += frame["content"]
            await asyncio.to_thread(stack.broker.start)
            rest = await client.collect(60)
            assert rest.final["type"] == "stream_end"
            assert text + rest.text == "".join(f"{n} " for n in range(200))
    asyncio.run(scenario())


def test_a_frozen_broker_does_not_stop_the_gateway(stack, model):
    async def scenario():
        async with connect(stack.url) as client:
            stack.broker.freeze()
            try:
                await client.ask_only("into the ice")
                for _ in range(20):
                    begun = time.monotonic()
                    await client.send({"type": "ping"})
                    frame = await client.receive(5)
                    if frame["type"] == "error":
                        break
                    assert frame["type"] == "pong" and time.monotonic() - begun < sized(1, 2)
                    await asyncio.sleep(0.02)
                answer = await client.collect(30) if frame["type"] != "error" else None
                assert answer is None or answer.final["type"] == "error"
            finally:
                stack.broker.thaw()
            for process in stack.running():
                await eventually(process.ready, 30, f"{process.name} is ready again")
            # What is still on its way for the last ping must not be taken for the next answer.
            await client.send({"type": "cancel"})
            while (await client.receive())["type"] != "cancelled":
                pass
            (await client.ask("thawed")).check_streamed()
    asyncio.run(scenario())


def test_any_free_port(stack):
    process = Service("gateway", "gateway-free", stack.environment("gateway", PORT=0), stack.directory)
    stack.services.append(process)
    process.start()
    process.wait_ready()
    stack.remove(process)
