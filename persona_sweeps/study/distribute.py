"""Studies carried out by several jobs: each gives the command itself, with all trials in its own process.

A study is shared through its journal, so a job needs to know nothing of the others; one that is lost is given again.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path

from persona_sweeps.errors import UserError
from persona_sweeps.execution.backend import Backend, State, Task
from persona_sweeps.execution.job_file import write_command
from persona_sweeps.execution.launch_target import Place, Predictions
from persona_sweeps.lifecycle import stopping
from persona_sweeps.lifecycle.stopping import Detached, Stopped
from persona_sweeps.planning.console import Console
from persona_sweeps.records.files import read_json, write_json
from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.study.study import OneStudy


def distribute(studies: Sequence[OneStudy], place: Place, command: Sequence[str], console: Console) -> None:
    """Have jobs work on these studies until all are over.

    Raises Stopped when asked to stop, and UserError when job after job is lost.
    """
    assert place.backend is not None
    predictions: Predictions = {}
    for study in studies:
        predictions |= study.predictions
    files = studies[0].files
    backend = place.backend(files.job_logs, predictions)
    wanted = min(backend.slots, sum(math.ceil(study.settings.n_trials / study.group_size) for study in studies))
    crew = _Crew(backend, files, list(command), studies, place, console)
    stop = stopping.current()
    try:
        with stop.at_once():
            crew.work(wanted)
    except Stopped as stopped:
        with stop.later():
            if not backend.survives:
                backend.stop(crew.jobs)
        if backend.survives:
            console.note(f"Jobs that go on: {', '.join(crew.jobs) or 'none'}. The same command comes back to them.")
            raise Detached(*stopped.args) from None
        raise


class _Crew:
    """The jobs that work on the studies of one command."""

    def __init__(
        self,
        backend: Backend,
        files: SweepFolder,
        command: list[str],
        studies: Sequence[OneStudy],
        place: Place,
        console: Console,
    ) -> None:
        self._backend = backend
        self._files = files
        self._command = command
        self._studies = studies
        self._place = place
        self._console = console
        self._lost = 0
        self.jobs: list[str] = []

    def work(self, wanted: int) -> None:
        """Keep jobs at work until the studies are over."""
        known = (read_json(self._files.workers) or {}).get("jobs", [])
        statuses = self._backend.poll(known)
        self.jobs = [job for job in known if statuses[job].state is not State.ended]
        if not self._over():
            self._give(max(0, wanted - len(self.jobs)))
        while self.jobs:
            time.sleep(self._place.poll_seconds)
            self._look()
        for path in self._files.groups.glob("study-*.json"):
            path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._files.groups.rmdir()
        self._files.workers.unlink(missing_ok=True)

    def _look(self) -> None:
        """Replace jobs that ended although there is work left."""
        for job, status in self._backend.poll(self.jobs).items():
            if status.state is not State.ended:
                continue
            self.jobs.remove(job)
            if self._over() or (self.jobs and status.reason in ("exit code 0", "COMPLETED")):
                continue  # nothing is left, or what is left is in training by the others
            self._lost += 1
            told = f"Job {job} ended and the study isn't over: {status.reason or 'it vanished'}."
            if self._lost > self._place.max_retries * len(self._studies) + self._place.max_retries:
                raise UserError(
                    f"{told} {self._lost} jobs were lost; {self._backend.log(job)} has what the last printed."
                )
            self._console.note(told)
            self._give(1)

    def _give(self, count: int) -> None:
        tasks = []
        for _ in range(count):
            path = self._new_file()
            write_command(path, self._command)
            tasks.append(Task(path, [self._studies[0].least]))
        if tasks:
            self.jobs += self._backend.submit(tasks)
            self._console.note(f"Jobs at work: {', '.join(self.jobs)}.")
        write_json(self._files.workers, {"jobs": self.jobs})

    def _over(self) -> bool:
        return all(study.is_over() for study in self._studies)

    def _new_file(self) -> Path:
        number = 0
        while (path := self._files.groups / f"study-{number}.json").exists():
            number += 1
        return path
