"""Fixtures that live as long as a test's file: a model server, a stack of one of each service in front of it, a
webhook, and a server for tests of the web alone."""

import pytest

from model_server import ModelServer
from stack import Stack, has
from web_server import Server
from webhook import Webhook


@pytest.fixture(scope="module")
def model():
    with ModelServer() as server:
        yield server


@pytest.fixture(scope="module")
def webhook():
    with Webhook() as hook:
        yield hook


@pytest.fixture(scope="module")
def server():
    """services/common/web.h and nothing else."""
    running = Server()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def settings(request):
    """What a file's SETTINGS says."""
    return getattr(request.module, "SETTINGS", {})


@pytest.fixture(scope="module")
def stack(request, model, settings):
    failed_before = request.session.testsfailed
    with Stack(model=model, **settings) as running:
        running.start(router=1, agent=1, gateway=1, tools=1 if has("tools") else 0)
        yield running
        running.show_logs = request.session.testsfailed > failed_before
