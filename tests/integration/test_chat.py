"""tests/chat.py, the client for a terminal, as its user sees it."""

import asyncio
import json
import os
import subprocess
import sys

import pytest

from langbot import PIPELINES, pipeline, stack
from stack import TOP, Stack

CHAT = os.path.join(TOP, "tests", "chat.py")


@pytest.fixture(scope="module")
def silent(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("silent") / "parley.json"
    group = {"trigger": "hey", "mention": "helper"}
    path.write_text(json.dumps({"pipelines": [{"uuid": name, "name": name, "group": group} for name in PIPELINES]}))
    with Stack(model=model, PARLEY_CONFIG=path) as running:
        running.start(router=1, gateway=1)
        yield running


def chat(stack, *arguments, say=None):
    return subprocess.run([sys.executable, CHAT, "--url", f"ws://127.0.0.1:{stack.gateway.port}", *arguments],
                          input=say, capture_output=True, text=True, timeout=60, check=False)


def answers(output):
    """By the client's number."""
    sections = [section.split("\n", 1) for section in output.split("--- ")[1:]]
    return {int(number): text.strip() for number, text in sections}


@pytest.mark.parametrize("protocol", ["agent_engine", "yychat", "contact", "minimal"])
def test_a_question_and_its_answer(stack, protocol):
    done = chat(stack, "--protocol", protocol, "hello")
    assert (done.returncode, done.stdout) == (0, "You said: hello\n"), done.stderr


def test_a_conversation(stack, pipeline):
    done = chat(stack, pipeline, say="one\ntwo\n")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "> You said: one\n> You said: two\n> \n"


def test_many_in_a_room_get_each_their_own_answer(stack, model, pipeline):
    """All of them see all answers, which come side by side."""
    async def numbered(_request, stream):
        number = len(numbered.asked)
        numbered.asked.append(number)
        stream.head()
        for place in range(40):
            stream.delta({"content": f"{number}.{place} "})
            await asyncio.sleep(0.02 if number else 0.005)
        stream.end()
    numbered.asked = []
    model.script("@websocketbotwhich", numbered)

    done = chat(stack, pipeline, "which", "--multi", "3", "--session-type", "group")
    assert done.returncode == 0, done.stderr
    whole = {" ".join(f"{number}.{place}" for place in range(40)) for number in range(3)}
    assert set(answers(done.stdout)) == {1, 2, 3} and set(answers(done.stdout).values()) == whole, done.stdout


def test_what_a_group_only_sees_is_told(silent, pipeline):
    """Its pipeline wants another mention than this client makes."""
    unanswered = "(shown to the group; not answered)"
    done = chat(silent, pipeline, "--session-type", "group", say="one\ntwo\n")
    assert (done.returncode, done.stdout) == (0, f"> {unanswered}\n> {unanswered}\n> \n"), done.stderr
    done = chat(silent, pipeline, "three", "--session-type", "group", "--multi", "2")
    assert done.returncode == 0 and answers(done.stdout) == {1: unanswered, 2: unanswered}, done.stderr


@pytest.mark.parametrize("form", ["http://127.0.0.1:{}", "http://127.0.0.1:{}/", "127.0.0.1:{}", "ws://localhost:{}"])
def test_the_address_in_any_form(stack, form):
    done = chat(stack, "--protocol", "agent_engine", "--url", form.format(stack.gateway.port), "hello")
    assert (done.returncode, done.stdout) == (0, "You said: hello\n"), done.stderr


def test_an_address_that_makes_no_sense_is_told(stack):
    done = chat(stack, "--protocol", "agent_engine", "--url", "ftp://127.0.0.1", "hello")
    assert done.returncode == 1 and "Traceback" not in done.stderr and "ftp://127.0.0.1" in done.stderr, done.stderr


def test_what_fails_is_told(stack):
    done = chat(stack, "no-such-pipeline", "hello")
    assert done.returncode == 1 and "Pipeline not found" in done.stderr
