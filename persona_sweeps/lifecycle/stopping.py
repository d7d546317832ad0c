"""Signals that ask a process to stop: what is in training is saved before it does.

Clusters send TERM, USR1 or USR2 some seconds before they take a node back; a person sends INT, and a terminal that is
closed HUP. In training the request is taken note of, and met after the step that is under way. Where nothing would be
lost it is met at once.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
EXIT_CODE = 75
"""of a process that stopped with work left (EX_TEMPFAIL of sysexits.h): the same command goes on from there"""


INTERRUPTED = 130
"""of a command that a person stopped with Ctrl-C, as shells have it"""


class Stopped(BaseException):
    """The process was asked to stop, and what it was training is saved; its text is the signal's name."""

    @property
    def exit_code(self) -> int:
        """The code with which a command ends: what sends the other signals, such as a cluster, starts it again."""
        return INTERRUPTED if str(self) == signal.SIGINT.name else EXIT_CODE


class Detached(Stopped):
    """The process was asked to stop, and jobs of a cluster go on without it."""


class Stop:
    """Whether this process has been asked to stop; one that hears no signals never is."""

    def __init__(self) -> None:
        self.requested: str | None = None
        """the name of the signal that asked"""
        self._at_once = False

    def ask(self, name: str) -> None:
        """Ask to stop. Raises Stopped where that is met at once, and KeyboardInterrupt for a second Ctrl-C."""
        if name == "SIGINT" and self.requested == "SIGINT":
            raise KeyboardInterrupt
        self.requested = name
        if self._at_once:
            raise Stopped(name)

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Raise Stopped in the block as soon as a signal comes, or right away when one has come before."""
        with self._meeting(at_once=True):
            self.check()
            yield

    @contextlib.contextmanager
    def later(self) -> Iterator[None]:
        """Take note of signals in the block, and no more: it calls `check` where it can be left."""
        with self._meeting(at_once=False):
            yield

    @contextlib.contextmanager
    def _meeting(self, at_once: bool) -> Iterator[None]:
        before, self._at_once = self._at_once, at_once
        try:
            yield
        finally:
            self._at_once = before

    def check(self) -> None:
        """Raise Stopped when the process has been asked to stop."""
        if self.requested is not None:
            raise Stopped(self.requested)


_heard: list[Stop] = []


def current() -> Stop:
    """Return what hears this process's signals; one that never is asked, where none are heard."""
    return _heard[-1] if _heard else Stop()


@contextlib.contextmanager
def heard() -> Iterator[Stop]:
    """Hear the signals while the block runs; what handled them before does so again afterwards.

    In a thread other than the main one no signal can be heard, and none is.
    """
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return

    def handle(number: int, frame: FrameType | None) -> None:
        stop.ask(signal.Signals(number).name)

    ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN  # by nohup, so that the process outlives its terminal
    numbers = [number for number in SIGNALS if number is not signal.SIGHUP or not ignored]
    before = {number: signal.signal(number, handle) for number in numbers}
    _heard.append(stop)
    try:
        yield stop
    finally:
        _heard.pop()
        for number, handler in before.items():
            signal.signal(number, handler)
