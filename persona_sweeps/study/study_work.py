"""Distribute studies to jobs: each job runs the command itself, with all its trials in one process.

Jobs share a study through its journal, so a job needs to know nothing about the others; a lost job is replaced.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from persona_sweeps.errors import UserError
from persona_sweeps.execution.backend import JobStatus
from persona_sweeps.execution.job_file import write_command
from persona_sweeps.execution.launch_target import LaunchTarget
from persona_sweeps.execution.supervisor import Job, Supervisor
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.preflight import Predictions
from persona_sweeps.study.study import OneStudy

STUDIES = "studies"
"""key of a job's notes: the names of the studies that it works on"""
ENDED_WELL = ("exit code 0", "COMPLETED")


def distribute(studies: Sequence[OneStudy], target: LaunchTarget, command: Sequence[str], console: Console) -> None:
    """Run jobs for these studies until all are finished.

    Raises Stopped if asked to stop, and UserError if too many jobs are lost.
    """
    assert target.backend is not None
    predictions: Predictions = {}
    for study in studies:
        predictions |= study.predictions
    files = studies[0].files
    work = StudyWork(studies, command, target.max_retries)
    backend = target.backend(files.job_logs, predictions)
    Supervisor(work, backend, files, console, target.poll_seconds).run()


class StudyWork:
    """The work of the jobs of one command's studies."""

    name = "study"

    def __init__(self, studies: Sequence[OneStudy], command: Sequence[str], max_retries: int) -> None:
        """Keep the studies; `command` has a job's arguments of `launch.py`."""
        self._studies = studies
        self._command = command
        self._max_lost = max_retries * (len(studies) + 1)
        self._lost = 0

    def describe(self, cells: Sequence[Cell]) -> str:
        return f"trials of {', '.join(study.name for study in self._studies)}"

    def notes(self, cells: Sequence[Cell]) -> dict[str, Any]:
        return {STUDIES: [study.name for study in self._studies]}

    def recognize(self, notes: Mapping[str, Any]) -> list[Cell]:
        shared = {study.name for study in self._studies} & set(notes.get(STUDIES, ()))
        return [self._example] if shared else []

    def begin(self, jobs: Sequence[Job], slots: int) -> Sequence[Sequence[Cell]]:
        if self._are_over():
            return []
        groups = sum(math.ceil(study.settings.n_trials / study.group_size) for study in self._studies)
        return [[self._example]] * max(0, min(slots, groups) - len(jobs))

    def write(self, path: Path, cells: Sequence[Cell]) -> None:
        write_command(path, self._command)

    def undeliverable(self, cells: Sequence[Cell], reason: str) -> None:
        raise UserError(f"The study's command: {reason}.")

    def follow(self, job: Job) -> None:
        """Do nothing: a job's trials are in the journal."""

    def left(self, job: Job, status: JobStatus, others: int) -> str:
        if (others and status.reason in ENDED_WELL) or self._are_over():
            return ""  # nothing is left, or other jobs train what is left
        return "before the study was over"

    def again(self, job: Job, reason: str) -> Sequence[Sequence[Cell]]:
        self._lost += 1
        if self._lost > self._max_lost:
            raise UserError(f"{self._lost} jobs were lost and the study isn't over; the last, {job.id}: {reason}")
        return [[self._example]]

    @property
    def _example(self) -> Cell:
        """A run of the first study, from which a backend derives the resources of a job."""
        return self._studies[0].least

    def _are_over(self) -> bool:
        return all(study.is_over() for study in self._studies)
