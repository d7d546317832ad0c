"""What a place where jobs run has to offer; local.py and slurm.py are two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from persona_sweeps.planning.cells import Cell


class State(Enum):
    waiting = "waiting"
    running = "running"
    ended = "ended"
    """or vanished: only the records tell what came of its runs"""


@dataclass(frozen=True, slots=True)
class Status:
    """How a job stands."""

    state: State
    node: str = ""
    reason: str = ""
    """in the place's own words, such as exit code 137 or PREEMPTED"""


@dataclass(frozen=True, slots=True)
class Task:
    """A group to be trained by a job of its own."""

    path: Path
    """its group file"""
    cells: Sequence[Cell]


class Backend(Protocol):
    """Starts jobs and says how they stand."""

    slots: int
    """so many jobs at once are worth having"""
    survives: bool
    """whether jobs go on without the process that started them"""

    def submit(self, tasks: Sequence[Task]) -> list[str]:
        """Start a job for each task, or have them wait for their turn; return their ids, in order."""
        ...

    def poll(self, jobs: Sequence[str]) -> Mapping[str, Status]:
        """Say how these jobs stand; one that isn't known is ended."""
        ...

    def log(self, job: str) -> Path | None:
        """Return the file that has what a job printed."""
        ...

    def avoid(self, node: str) -> None:
        """Give no more jobs to a node."""
        ...

    def stop(self, jobs: Sequence[str]) -> None:
        """Have jobs that don't survive save what they have in training and end; return when they have."""
        ...
