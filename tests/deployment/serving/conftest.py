"""A real server in a thread, with three runs of the tiny twin and their base."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
import uvicorn

from persona_sweeps.deployment.serving.app import create_app
from persona_sweeps.deployment.serving.listening import listen
from persona_sweeps.deployment.serving.models import Models, load_models
from persona_sweeps.deployment.serving.settings import Settings

from ..conftest import Finished

METHODS = ("lora", "ia3", "prompt_tuning")
MOST = 24
"""tokens of an answer"""


@dataclass(frozen=True)
class Server:
    """A server that answers, and what it offers."""

    address: str
    models: Models
    settings: Settings


@contextmanager
def running(models: Models, settings: Settings) -> Iterator[Server]:
    """Serve in a thread until the block ends."""
    opened = listen(settings)
    server = uvicorn.Server(uvicorn.Config(create_app(models, settings), log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield Server(f"http://127.0.0.1:{opened.getsockname()[1]}", models, settings)
    finally:
        server.should_exit = True
        thread.join()
        opened.close()


@pytest.fixture(scope="session")
def models(finished: Finished) -> Models:
    return load_models([finished.run(method) for method in METHODS], "cpu", MOST)


@pytest.fixture(scope="session")
def alone(models: Models) -> Callable[[str, str], str]:
    """What a model answers greedily to a message by itself: asked before any server of the same models runs."""
    known: dict[tuple[str, str], str] = {}

    def answer(name: str, message: str) -> str:
        if (name, message) not in known:
            model = models.find(name)
            known[name, message] = model.predictor.reply(
                message, system=model.card, method="greedy", max_new_tokens=MOST
            )
        return known[name, message]

    return answer
