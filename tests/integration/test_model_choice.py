"""Which model an agent asks, by what name, and with whose key."""

import asyncio

import pytest

from client import connect
from model_server import ModelServer
from stack import Stack

UNSET = ""  # an empty variable counts as not set


def asked_with(**settings):
    """The one request that a question led to. `MODEL` in a value is the scripted model's address."""
    with ModelServer() as model:
        settings = {name: value.replace("MODEL", model.url) for name, value in settings.items()}
        with Stack(**{"OPENAI_BASE_URL": UNSET, "OPENAI_API_KEY": UNSET, "OPENAI_MODEL": UNSET, **settings}) as stack:
            stack.start(router=1, agent=1, gateway=1)
            asyncio.run(ask(stack.url))
        assert len(model.requests) == 1
        return model.requests[0]


async def ask(url):
    async with connect(url) as client:
        assert (await client.ask("hello")).final["type"] == "stream_end"


@pytest.mark.parametrize("settings, name, authorization", [
    ({"DEMO_MODEL_URL": "MODEL"}, "demo", None),
    ({"DEMO_MODEL_URL": "MODEL", "OPENAI_MODEL": "other"}, "other", None),
    ({"DEMO_MODEL_URL": "MODEL", "OPENAI_API_KEY": "k"}, "demo", None),
    ({"DEMO_MODEL_URL": "http://127.0.0.1:9/v1", "OPENAI_BASE_URL": "MODEL"}, "gpt-4o-mini", None),
    ({"OPENAI_BASE_URL": "MODEL", "OPENAI_API_KEY": "k"}, "gpt-4o-mini", "bearer k"),
    ({"OPENAI_BASE_URL": "MODEL/", "OPENAI_API_KEY": "k", "OPENAI_MODEL": "large"}, "large", "bearer k")])
def test_the_model_is_asked_by_a_name_that_it_has(settings, name, authorization):
    request = asked_with(**settings)
    assert request.body["model"] == name
    assert request.headers.get("authorization") == authorization  # in lower case
