"""tests/chat.py, the client for a terminal, as its user sees it."""

import asyncio
import os
import subprocess
import sys

import pytest

from langbot import pipeline, stack
from stack import TOP

CHAT = os.path.join(TOP, "tests", "chat.py")


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


def test_what_fails_is_told(stack):
    done = chat(stack, "no-such-pipeline", "hello")
    assert done.returncode == 1 and "Pipeline not found" in done.stderr
