"""The thread in which texts grow: requests queue for it, and it calls back with what has become of them."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from persona_sweeps.deployment.serving.running_batch import GrowingText, RunningBatch
from persona_sweeps.training.engine import Engine

log = logging.getLogger(__name__)


class QueueFull(Exception):
    """No request more can wait."""


class Stopping(Exception):
    """The server is being stopped."""


@dataclass(frozen=True)
class Job:
    """A text to grow; `ended` is called once, with the error that kept it from ending, or None."""

    text: GrowingText
    ended: Callable[[Exception | None], None]

    def cancel(self) -> None:
        """Give the text up; its place is free at the next token."""
        self.text.cancelled = True


class Worker:
    """Grows at most `most` texts at a time, in one thread; `waiting` more may wait."""

    def __init__(self, engine: Engine, most: int, waiting: int) -> None:
        self._batch = RunningBatch(engine)
        self._most, self._waiting = most, waiting
        self._queue: deque[Job] = deque()
        self._jobs: dict[int, Job] = {}
        self._changed = threading.Condition()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="persona-sweeps answers", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Give up all texts, and wait for the thread to end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join()

    def submit(self, *jobs: Job) -> None:
        """Queue these, all or none. Raises `QueueFull` or `Stopping`."""
        with self._changed:
            if self._stopping:
                raise Stopping
            if len(self._queue) + len(jobs) > self._waiting + max(0, self._most - len(self._jobs)):
                raise QueueFull
            self._queue.extend(jobs)
            self._changed.notify()

    @property
    def running(self) -> int:
        return len(self._jobs)

    @property
    def queued(self) -> int:
        return len(self._queue)

    def _run(self) -> None:
        while self._wait():
            self._join()
            if self._batch.texts:
                self._step()
        for job in [*self._jobs.values(), *self._queue]:
            job.ended(Stopping())

    def _wait(self) -> bool:
        """Sleep while there is nothing to do; return whether to go on."""
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or self._queue or self._jobs)
            return not self._stopping

    def _join(self) -> None:
        """Let those that wait join, as far as there is room."""
        with self._changed:
            room = self._most - len(self._jobs)
            joining = [self._queue.popleft() for _ in range(min(room, len(self._queue)))]
            gone = [job for job in joining if job.text.cancelled]
            joining = [job for job in joining if not job.text.cancelled]
            self._jobs.update({id(job.text): job for job in joining})
        for job in gone:
            job.ended(None)
        if not joining:
            return
        try:
            self._batch.join([job.text for job in joining])
        except Exception as error:  # what can't be begun leaves the others as they are
            log.exception("A prompt couldn't be read")
            for job in joining:
                self._end(job.text, error)

    def _step(self) -> None:
        """Add a token to each text; an error ends them all, and the thread goes on."""
        try:
            ended = self._batch.step()
        except Exception as error:
            log.exception("Answering failed")
            self._batch.clear()
            for job in list(self._jobs.values()):
                self._end(job.text, error)
        else:
            for text in ended:
                self._end(text, None)

    def _end(self, text: GrowingText, error: Exception | None) -> None:
        with self._changed:
            job = self._jobs.pop(id(text))
        job.ended(error)
