"""The thread in which texts grow: an error ends those whose it is, and the thread goes on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from persona_sweeps.deployment.conversation import Decoding
from persona_sweeps.deployment.predictor import Predictor
from persona_sweeps.deployment.serving import running_batch
from persona_sweeps.deployment.serving.models import Models
from persona_sweeps.deployment.serving.running_batch import GrowingText
from persona_sweeps.deployment.serving.worker import Job, QueueFull, Stopping, Worker

pytestmark = pytest.mark.slow


class Asked:
    """A job with what became of it."""

    def __init__(self, predictor: Predictor, message: str, tokens: int) -> None:
        decoding = Decoding(tokens, 0).generation(predictor.config)
        request = predictor.request(predictor.encode([message])[0], 0)
        self.growing, self.over, self.error = threading.Event(), threading.Event(), None
        self.text = GrowingText(request, decoding, predictor.ending(decoding), lambda tokens: self.growing.set())
        self.job = Job(self.text, self._ended)

    def _ended(self, error: Exception | None) -> None:
        self.error = error
        self.over.set()

    def result(self) -> str | Exception:
        """Return the text, or the error."""
        assert self.over.wait(60)
        return self.error or self.text.ending.text(self.text.tokens)


@pytest.fixture
def worker(models: Models) -> Iterator[Worker]:
    started = Worker(models.offered[0].predictor.host.engine, most=2, waiting=1)
    started.start()
    yield started
    started.stop()


def test_what_cannot_begin_leaves_the_others_as_they_are(
    worker: Worker, models: Models, alone: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = models.find("base")
    expected = alone("base", "Who's there?")
    first, second = Asked(base.predictor, "Who's there?", 24), Asked(base.predictor, "Nay.", 24)
    prefill, refused = running_batch.prefill, second.text.request

    def failing(forward: Any, requests: Sequence[Any], *more: Any) -> Any:
        if refused in requests:
            raise MemoryError("no room")
        return prefill(forward, requests, *more)

    monkeypatch.setattr(running_batch, "prefill", failing)
    worker.submit(first.job)
    assert first.growing.wait(60)
    worker.submit(second.job)
    assert isinstance(second.result(), MemoryError)
    assert first.result() == expected


def test_an_error_ends_the_texts_under_way_and_the_next_are_answered(
    worker: Worker, models: Models, alone: Callable[[str, str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    base = models.find("base")
    expected = alone("base", "Who's there?")
    with monkeypatch.context() as patch:
        patch.setattr(running_batch.RunningBatch, "_advance", lambda batch, tokens: 1 / 0)
        failing = Asked(base.predictor, "Who's there?", 24)
        worker.submit(failing.job)
        assert isinstance(failing.result(), ZeroDivisionError)
    again = Asked(base.predictor, "Who's there?", 24)
    worker.submit(again.job)
    assert again.result() == expected and worker.running == worker.queued == 0


def test_only_so_many_wait_and_a_stop_tells_them_all(models: Models) -> None:
    predictor = models.find("base").predictor
    stopped = Worker(predictor.host.engine, most=1, waiting=1)
    asked = [Asked(predictor, "Who's there?", 8000) for _ in range(3)]
    with pytest.raises(QueueFull):
        stopped.submit(*(one.job for one in asked))
    stopped.start()
    stopped.submit(*(one.job for one in asked[:2]))
    assert asked[0].growing.wait(60)
    stopped.stop()
    assert all(isinstance(one.result(), Stopping) for one in asked[:2])
    with pytest.raises(Stopping):
        stopped.submit(asked[2].job)
