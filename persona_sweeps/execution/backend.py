"""What can start jobs: worker processes of this machine, SLURM, or Ray."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Protocol

from persona_sweeps.planning.cells import Cell


class JobState(Enum):
    waiting = "waiting"
    running = "running"
    finished = "finished"
    """or vanished: only the records say what came of its runs"""


@dataclass(frozen=True, slots=True)
class JobStatus:
    """How a job stands."""

    state: JobState
    node: str = ""
    reason: str = ""
    """in the backend's own words, such as exit code 137 or PREEMPTED"""


@dataclass(frozen=True, slots=True)
class Task:
    """What one job is given."""

    path: Path
    """the job's file: a group of runs, or a command"""
    cells: Sequence[Cell]
    """from which the backend knows what resources to ask for"""


class Backend(Protocol):
    """Starts jobs and says how they stand."""

    slots: int
    """how many jobs at once are worth having"""
    survives: bool
    """whether jobs go on without the process that started them"""

    def submit(self, tasks: Sequence[Task]) -> list[str]:
        """Start a job for each task, or queue it; return their ids, in order."""
        ...

    def poll(self, jobs: Sequence[str]) -> Mapping[str, JobStatus]:
        """Return how these jobs stand; one that isn't known is finished."""
        ...

    def log(self, job: str) -> Path | None:
        """Return the file that has what a job printed."""
        ...

    def avoid(self, node: str) -> None:
        """Give no more jobs to a node."""
        ...

    def stop(self, jobs: Sequence[str]) -> None:
        """Have jobs that don't survive save what they are training and end; return when they have."""
        ...
