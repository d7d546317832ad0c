"""`tracker=none`: no tracker; the run folder has everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from persona_sweeps.tracking.tracker import Tracker


class UntrackedRun:
    """A run that isn't tracked."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        pass

    def finish(self, status: str, summary: Mapping[str, float], samples: Sequence[Mapping[str, Any]]) -> None:
        pass


@dataclass
class NoTracker(Tracker):
    """Tracks nothing."""

    def start(self, resolved: Mapping[str, Any], folder: Path, run_id: str, name: str, sweep: str) -> UntrackedRun:
        return UntrackedRun()
