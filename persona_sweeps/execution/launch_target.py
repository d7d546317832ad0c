"""Where a plan is carried out: in this process, or by jobs of a backend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.device import Machine
from persona_sweeps.planning.obstacles import Obstacle
from persona_sweeps.planning.preflight import Predictions

if TYPE_CHECKING:
    from persona_sweeps.execution.backend import Backend


@dataclass(frozen=True)
class LaunchTarget:
    """What carries out a plan, and on what machine."""

    machine: Machine | None = None
    """what a job gets; None: this machine, all of it"""
    backend: Callable[[Path, Predictions], Backend] | None = None
    """makes what starts jobs, given a folder for what they print; None: all is done in this process"""
    obstacles: Sequence[Obstacle] = ()
    """what keeps jobs from being started from this machine; planning needs none of it"""
    max_retries: int = 0
    poll_seconds: float = 1.0
    search_path: Sequence[str] = ()
    """folders of configs beside the project's own, which jobs need too"""


THIS_PROCESS = LaunchTarget()
"""trials of one base model share one pass"""
