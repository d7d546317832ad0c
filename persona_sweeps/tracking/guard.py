"""A tracker that can't stop the training it watches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from persona_sweeps.tracking.tracker import Tracker

_log = logging.getLogger(__name__)


class Guarded:
    """Runs another tracker until its first failure, warns of that once, and does nothing from then on.

    A dead network, a full disk or a changed client must not cost a sweep: the run folder holds all that was tracked.
    """

    def __init__(self, kind: str, run_id: str, start: Callable[[], Tracker]) -> None:
        self._what = f"tracker={kind} of run {run_id}"
        self._tracker: Tracker | None = None
        self._guard(lambda: setattr(self, "_tracker", start()))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if tracker := self._tracker:
            self._guard(lambda: tracker.log(step, values))

    def finish(self, status: str, summary: Mapping[str, float], samples: Sequence[Mapping[str, Any]]) -> None:
        if tracker := self._tracker:
            self._guard(lambda: tracker.finish(status, summary, samples))
        self._tracker = None

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            self._tracker = None
            _log.warning(
                "%s is switched off after an error; the run goes on, and its folder has all values. %s: %s",
                self._what,
                type(error).__name__,
                error,
            )
            _log.debug("%s failed", self._what, exc_info=True)
