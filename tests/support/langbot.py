"""What LangBot's tests share: a stack configured with a pipeline for each test, a client, and its calls over HTTP."""

import asyncio
import json

import pytest

from client import run_with
from dialects import PIPELINE, LangBot, connect
from stack import Stack, call

# One for each test: what is said in a pipeline stays there.
PIPELINES = [PIPELINE, *(f"p{place}" for place in range(100))]
PERSONAS = [{"id": "plain", "name": "Plain", "system_prompt": "Be plain."}]
CONFIG = {"pipelines": [{"uuid": name, "name": name, "persona": "plain"} for name in PIPELINES], "personas": PERSONAS}


@pytest.fixture(scope="module")
def stack(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("config") / "parley.json"
    path.write_text(json.dumps(CONFIG))
    with Stack(model=model, PARLEY_CONFIG=path) as running:
        running.start(router=1, agent=1, tools=1, gateway=1)
        yield running


@pytest.fixture
def pipeline():
    """One that nobody has used."""
    return PIPELINES.pop()


def run(stack, scenario, kind=LangBot, **where):
    run_with(connect(kind, stack.gateway.port, **where), scenario)


def api(stack, pipeline, method, action, body=None):
    return call(stack.gateway.port, method, f"/api/v1/pipelines/{pipeline}/ws/{action}", body)


async def ok(stack, pipeline, method, action, body=None):
    """Its data."""
    status, answer = await asyncio.to_thread(api, stack, pipeline, method, action, body)
    assert status == 200 and set(answer) == {"code", "msg", "data"}, answer
    assert answer["code"] == 0 and answer["msg"] == "ok", answer
    return answer["data"]
