"""deploy/local/up and down, as a newcomer runs them, beside whatever else runs on this machine."""

import asyncio
import os
import signal
import subprocess
import sys
import time

import pytest

from client import connect
from process import wait_until
from stack import SERVICES, TOP, free_port, get, has, sanitizer

pytestmark = [
    pytest.mark.skipif(bool(sanitizer()), reason="up runs the normal build"),
    pytest.mark.skipif(not all(has(service) for service in SERVICES if service != "tools"), reason="not all is built")]

PORTS = ("PORT", "YYCHAT_PORT", "CONTACT_PORT", "LANGBOT_PORT", "MINIMAL_PORT", "NATS_PORT", "DEMO_MODEL_PORT")


@pytest.fixture
def environment(tmp_path):
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "NATS_"))}
    kept.update({name: str(free_port()) for name in PORTS}, PARLEY_RUN_DIRECTORY=str(tmp_path))
    yield kept
    run("down", kept)


def run(script, environment, *arguments, check=True):
    ended = subprocess.run([os.path.join(TOP, "deploy", "local", script), *arguments], env=environment, text=True,
                           capture_output=True, timeout=120, check=False)
    assert not check or ended.returncode == 0, ended
    return ended


def ask(environment, question):
    async def scenario():
        async with connect(f"ws://127.0.0.1:{environment['PORT']}/ws/agent") as client:
            return (await client.ask(question)).check_streamed().text
    return asyncio.run(scenario())


def pids(tmp_path):
    return {path.stem: int(path.read_text()) for path in tmp_path.glob("*.pid")}


def alive(pid):
    return os.path.exists(f"/proc/{pid}/exe")


def test_up_and_down(environment, tmp_path):
    begun = time.monotonic()
    shown = run("up", environment, "--detach", "--scale", "agent=2", "--scale=gateway=2").stdout
    assert time.monotonic() - begun < 15
    assert f"http://127.0.0.1:{environment['PORT']}/" in shown
    started = pids(tmp_path)
    assert {"nats", "router-1", "agent-1", "agent-2", "gateway-1", "gateway-2", "demo-model-1"} <= set(started)
    assert all(alive(pid) for pid in started.values())
    for name in set(started) - {"nats"}:
        assert get(int((tmp_path / f"{name}.ops").read_text()), "/readyz")[0] == 200
    assert ask(environment, "Good morning")
    for port in PORTS[:5]:
        assert get(int(environment[port]), "/")[0] == 200

    second = run("up", environment, "--detach", check=False)
    assert second.returncode == 1 and "running already" in second.stderr and len(second.stderr.splitlines()) == 1
    assert pids(tmp_path) == started and all(alive(pid) for pid in started.values())

    run("down", environment)
    assert not pids(tmp_path) and not any(alive(pid) for pid in started.values())
    assert (tmp_path / "nats" / "jetstream").is_dir(), "what was said stays"
    assert "not running" in run("down", environment).stdout


def test_a_port_in_use(environment, tmp_path):
    environment["CONTACT_PORT"] = environment["PORT"]
    holder = subprocess.Popen([sys.executable, "-m", "http.server", environment["PORT"], "--bind", "127.0.0.1"],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: serves(int(environment["PORT"])), what="the port is taken")
        failed = run("up", environment, "--detach", check=False)
    finally:
        holder.kill()
        holder.wait()
    assert failed.returncode == 1 and len(failed.stderr.splitlines()) == 1
    assert environment["PORT"] in failed.stderr and f"pid {holder.pid}" in failed.stderr
    assert not pids(tmp_path)


def serves(port):
    try:
        return get(port, "/")[0] == 200
    except OSError:
        return False


def test_a_wrong_setting_stops_it_all(environment, tmp_path):
    failed = run("up", dict(environment, AGENT_MAX_TURNS="many"), "--detach", check=False)
    assert failed.returncode == 1 and len(failed.stderr.splitlines()) == 1
    assert "AGENT_MAX_TURNS" in failed.stderr and "agent-1" in failed.stderr
    assert not pids(tmp_path)


@pytest.mark.parametrize("arguments", [["--scale", "nobody=1"], ["--scale", "agent"], ["--scale"], ["--what"]])
def test_wrong_arguments(environment, tmp_path, arguments):
    failed = run("up", environment, *arguments, check=False)
    assert failed.returncode == 1 and len(failed.stderr.splitlines()) == 1 and not pids(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_in_the_foreground_a_signal_stops_it(environment, tmp_path, number):
    up = subprocess.Popen([os.path.join(TOP, "deploy", "local", "up")], env=environment, text=True, stdout=subprocess.PIPE)
    try:
        while "Ctrl-C" not in (line := up.stdout.readline()):
            assert line, "it has ended"
        started = pids(tmp_path)
        up.send_signal(number)
        assert up.wait(60) == 0
    finally:
        up.kill()
        up.stdout.close()
    assert not pids(tmp_path) and not any(alive(pid) for pid in started.values())


def test_a_stale_pid_file_of_somebody_else(environment, tmp_path):
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        (tmp_path / "gateway-1.pid").write_text(f"{bystander.pid}\n")
        run("down", environment)
        assert bystander.poll() is None, "a process that is not ours is left alone"
    finally:
        bystander.kill()
        bystander.wait()
