"""Has jobs do some work, and watches them until it is done.

What a job says of itself counts for nothing: it may vanish, or end well without having done its work. When it is gone,
the records say what is left, and that is given to another job. What there is to do, and what is left of it, a `Work`
says: the groups of a plan (plan_work.py), or the studies of a command (study/study_work.py).
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from persona_sweeps.execution.backend import Backend, JobState, JobStatus, Task
from persona_sweeps.execution.nodes import Nodes
from persona_sweeps.lifecycle import stopping, watchdog
from persona_sweeps.lifecycle.stopping import Detached, Stopped
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.console import Console
from persona_sweeps.records.files import read_json, write_json
from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.wording import pluralize

TAIL = 3
"""lines of a job's output that are quoted when it has vanished"""
PRAISE = ("Job completed successfully", "Exiting after successful completion")
"""what submitit prints when a job's function has returned, which is no reason why the job is gone"""


@dataclass
class Job:
    """A job, and what it has to do."""

    id: str
    cells: list[Cell]
    file: str
    """the name of its file"""
    notes: Mapping[str, Any] = field(default_factory=dict)
    """what its work must know of it, in a later command too: plain JSON"""
    state: JobState = JobState.waiting
    node: str = ""


class Work(Protocol):
    """What jobs have to do; a part of it, for one job, is a list of cells."""

    name: str
    """of its kind: its jobs' files begin with it"""

    def describe(self, cells: Sequence[Cell]) -> str:
        """Return what a job has to do, in words."""
        ...

    def notes(self, cells: Sequence[Cell]) -> dict[str, Any]:
        """Return what to note of a job that is about to be given these cells, as plain JSON."""
        ...

    def recognize(self, notes: Mapping[str, Any]) -> list[Cell]:
        """Return what a job with these notes has to do of this work: nothing where it is of other work."""
        ...

    def begin(self, jobs: Sequence[Job], slots: int) -> Sequence[Sequence[Cell]]:
        """Return what to give to new jobs, beside those of an earlier command that are still at work."""
        ...

    def write(self, path: Path, cells: Sequence[Cell]) -> None:
        """Write the file of a job. Raises OSError where that fails."""
        ...

    def undeliverable(self, cells: Sequence[Cell], reason: str) -> None:
        """Take note of what could be given to no job. May raise UserError."""
        ...

    def follow(self, job: Job) -> None:
        """Report what a job has got done by now."""
        ...

    def left(self, job: Job, status: JobStatus, others: int) -> str:
        """Return what a job that is gone has left undone, as in "without 2 runs"; "" for nothing.

        `others` jobs are still there.
        """
        ...

    def again(self, job: Job, reason: str) -> Sequence[Sequence[Cell]]:
        """Return what to give to new jobs of what a lost one has left undone. Raises UserError to give up."""
        ...


class Supervisor:
    """Gives work to jobs and sees it done, whatever becomes of the jobs."""

    def __init__(self, work: Work, backend: Backend, files: SweepFolder, console: Console, poll_seconds: float) -> None:
        """`files` are the sweep's: what is needed to find the jobs again is kept there."""
        self._work = work
        self._backend = backend
        self._files = files
        self._console = console
        self._poll_seconds = poll_seconds
        self._jobs: list[Job] = []
        self._nodes = Nodes(backend.avoid)
        self._next_file = 0
        self._noted: list[dict[str, Any]] | None = None
        self._job_files: set[str] = set()

    def run(self) -> None:
        """Have the work done. Raises Stopped when asked to stop: Detached where the jobs go on."""
        stop = stopping.current()
        try:
            with stop.at_once():
                self._find_again()
                self._give(self._work.begin(self._jobs, self._backend.slots))
                while self._jobs:
                    time.sleep(self._poll_seconds)
                    self._look()
                    stop.check()  # an exception that a signal raises may be lost in what it interrupts
        except Stopped as stopped:
            with stop.later():
                self._leave()
            if self._backend.survives:
                raise Detached(*stopped.args) from None
            raise
        except Exception:  # the work is given up
            self._leave()
            raise
        self._clear()

    def _find_again(self) -> None:
        """Take up the jobs of an earlier command that are still there."""
        entries = (read_json(self._files.jobs) or {}).get("jobs", [])
        statuses = self._backend.poll([entry["id"] for entry in entries])
        for entry in entries:
            cells = self._work.recognize(entry["notes"])
            if not cells:
                continue
            self._job_files.add(entry["file"])
            if statuses[entry["id"]].state is not JobState.finished:
                self._jobs.append(Job(entry["id"], cells, entry["file"], entry["notes"]))
                self._console.note(f"Job {entry['id']} is still there, with {self._work.describe(cells)}.")

    def _give(self, parts: Sequence[Sequence[Cell]]) -> None:
        """Start a job for each part of the work."""
        tasks = []
        for cells in parts:
            try:
                path = self._new_file()
                self._work.write(path, cells)
                tasks.append(Task(path, cells))
            except OSError as error:  # a full disk: the same command tries again
                self._work.undeliverable(cells, f"it couldn't be given to a job: {error}")
        if tasks:
            notes = [self._work.notes(task.cells) for task in tasks]  # before a job changes what there is
            for task, job, noted in zip(tasks, self._backend.submit(tasks), notes, strict=True):
                self._jobs.append(Job(job, list(task.cells), task.path.name, noted))
                self._console.note(f"Job {job}: {self._work.describe(task.cells)}.")
        self._note_jobs()

    def _look(self) -> None:
        """See how the jobs stand, and follow up those that are gone."""
        statuses = self._backend.poll([job.id for job in self._jobs])
        again: list[Sequence[Cell]] = []
        for job in list(self._jobs):
            status = statuses[job.id]
            self._work.follow(job)
            if status.state is JobState.finished:
                self._jobs.remove(job)
                again += self._follow_up(job, status)
            elif (status.state, status.node) != (job.state, job.node):
                job.state, job.node = status.state, status.node
                self._nodes.saw(status.node)
                where = f" on {status.node}" if status.node else ""
                self._console.note(f"Job {job.id} is {status.state.value}{where}.")
        self._give(again)

    def _follow_up(self, job: Job, status: JobStatus) -> Sequence[Sequence[Cell]]:
        """Return what is to be given again of what a job that is gone has left undone."""
        left = self._work.left(job, status, len(self._jobs))
        if not left:
            self._nodes.worked(job.node)
            others = pluralize(len(self._jobs), "job")
            self._console.note(f"Job {job.id} ended with {self._work.describe(job.cells)}; {others} to come.")
            return ()
        reason = self._reason(job, status)
        self._console.note(f"Job {job.id} ended {left}: {reason}")
        if (avoided := self._nodes.lost(job.node)) is not None:
            self._console.note(avoided)
        return self._work.again(job, reason)

    def _reason(self, job: Job, status: JobStatus) -> str:
        """Return what is known of a job's end: the backend's word for it, and the last lines that it printed."""
        path = self._backend.log(job.id)
        try:
            printed = path.read_text(encoding="utf-8", errors="replace") if path is not None else ""
        except OSError:
            printed = ""
        if (stalled := watchdog.last_words(printed)) is not None:
            return f"{stalled}; {path} has where each thread was"
        lines = [line for line in printed.splitlines() if line.strip() and not any(word in line for word in PRAISE)]
        tail = " / ".join(line.strip() for line in lines[-TAIL:])
        words = status.reason or "it vanished"
        return f"{words} ({tail})" if tail else words

    def _leave(self) -> None:
        """Go, leaving behind what can go on alone."""
        self._note_jobs()
        if self._backend.survives:
            jobs = ", ".join(job.id for job in self._jobs)
            self._console.note(f"Jobs that go on: {jobs or 'none'}. The same command comes back to them.")
        else:
            self._backend.stop([job.id for job in self._jobs])

    def _clear(self) -> None:
        """Remove what only the jobs needed; what they printed stays."""
        for name in self._job_files:  # another command of the same sweep may have others
            (self._files.groups / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._files.groups.rmdir()
        if (read_json(self._files.jobs) or {}).get("jobs") == self._noted:
            self._files.jobs.unlink(missing_ok=True)

    def _note_jobs(self) -> None:
        """Write down which jobs there are, where that has changed."""
        jobs = [{"id": job.id, "file": job.file, "notes": dict(job.notes)} for job in self._jobs]
        if jobs == self._noted or not (jobs or self._noted):
            return
        try:
            write_json(self._files.jobs, {"jobs": jobs})
            self._noted = jobs
        except OSError as error:
            self._console.note(f"{self._files.jobs} couldn't be written: {error}.")

    def _new_file(self) -> Path:
        """Make a file for a job that no other command uses, earlier or at the same time."""
        folder = self._files.groups
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{self._work.name}-{self._next_file}.json"
            self._next_file += 1
            with contextlib.suppress(FileExistsError, FileNotFoundError):  # another one's, or it has removed the folder
                path.touch(exist_ok=False)
                self._job_files.add(path.name)
                return path
