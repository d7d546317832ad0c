"""No tracker: the run folder has everything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from persona_sweeps.config.schema import RunConfig, TrackerConfig


class NoTracker:
    """Does nothing."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        pass

    def finish(self, status: str, summary: Mapping[str, float], samples: Sequence[Mapping[str, Any]]) -> None:
        pass


def check(config: TrackerConfig) -> None:
    """Accept: nothing can be missing."""


def start(config: RunConfig, resolved: Mapping[str, Any], folder: Path, run_id: str, name: str) -> NoTracker:
    """Return a tracker that does nothing."""
    return NoTracker()
