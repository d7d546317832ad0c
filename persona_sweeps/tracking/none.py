"""`tracker=none`: no tracker; the run folder has everything."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from persona_sweeps.tracking.tracker import Tracker


@dataclass
class NoTracker(Tracker):
    """Shows nothing, and isn't started."""

    name: ClassVar[str] = "none"
