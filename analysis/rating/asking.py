"""Asks a judge: what is on disk isn't asked again, and a reply that is no answer is asked for anew."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import TypeVar

from .answers import Answers
from .endpoint import Endpoint, Messages, NoAnswer

_ASKED_AGAIN = 2
"""times a reply that is no answer is asked for anew"""
Asked = TypeVar("Asked")
Answer = TypeVar("Answer")


@dataclass
class Tally:
    """How often the endpoint was asked, and how often the answer was on disk already."""

    asked: int = 0
    cached: int = 0
    lock: Lock = field(default_factory=Lock)

    def count(self, what: str) -> None:
        """Count one more; judges ask side by side."""
        with self.lock:
            setattr(self, what, getattr(self, what) + 1)


@dataclass(frozen=True)
class Judge:
    """A model behind an endpoint, the folder of its answers, and how many requests are under way at a time."""

    endpoint: Endpoint
    answers: Answers
    parallel: int = 4
    tally: Tally = field(default_factory=Tally)

    def ask(self, messages: Messages, parse: Callable[[str], Answer | None]) -> Answer:
        """Return what `parse` makes of the reply; None of it means that the reply is no answer.

        Raises `NoAnswer` where no reply is one, and what `Endpoint.ask` raises.
        """
        question = {"base_url": self.endpoint.base_url, **self.endpoint.request(messages)}
        kept = self.answers.get(question)
        found = parse(kept) if kept is not None else None
        if found is not None:
            self.tally.count("cached")
            return found
        for _ in range(_ASKED_AGAIN + 1):
            self.tally.count("asked")
            reply = self.endpoint.ask(messages)
            found = parse(reply)
            if found is not None:
                self.answers.put(question, reply)
                return found
        raise NoAnswer(f"{_ASKED_AGAIN + 1} replies that answer nothing")

    def each(self, of: Sequence[Asked], one: Callable[[Asked], Answer]) -> list[Answer]:
        """Return what `one` gives for each, in order, some of them side by side; the first error ends all."""
        with ThreadPoolExecutor(max_workers=self.parallel) as pool:
            futures = [pool.submit(one, item) for item in of]
            try:
                return [future.result() for future in futures]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
