"""Keep errors of a tracker from stopping the training."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from persona_sweeps.tracking.tracker import TrackedRun

_log = logging.getLogger(__name__)


class GuardedRun:
    """Tracks a run until the first error, warns about it once, and does nothing from then on.

    A dead network, a full disk or a changed client must not fail a sweep: the run folder holds everything tracked.
    """

    def __init__(self, kind: str, run_id: str, start: Callable[[], TrackedRun]) -> None:
        self._what = f"tracker={kind} of run {run_id}"
        self._run: TrackedRun | None = None
        self._guard(lambda: setattr(self, "_run", start()))

    def log(self, step: int, values: Mapping[str, float]) -> None:
        if run := self._run:
            self._guard(lambda: run.log(step, values))

    def finish(self, status: str, summary: Mapping[str, float], samples: Sequence[Mapping[str, Any]]) -> None:
        if run := self._run:
            self._guard(lambda: run.finish(status, summary, samples))
        self._run = None

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            self._run = None
            _log.warning(
                "%s is switched off after an error; the run goes on, and its folder has all values. %s: %s",
                self._what,
                type(error).__name__,
                error,
            )
            _log.debug("%s failed", self._what, exc_info=True)
