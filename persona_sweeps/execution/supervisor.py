"""Watches the jobs of a sweep until each of its runs has a record.

What a job says of itself counts for nothing: it may vanish, or end well without having done its work. When it is no
longer there, its runs' records tell what is left, and that is given to another job.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from persona_sweeps.errors import TrialError
from persona_sweeps.execution.backend import Backend, State, Status, Task
from persona_sweeps.execution.group_file import write_group
from persona_sweeps.execution.nodes import Nodes
from persona_sweeps.lifecycle import stopping, watchdog
from persona_sweeps.lifecycle.lease import break_dead, holder
from persona_sweeps.lifecycle.stopping import Detached, Stopped
from persona_sweeps.planning.cells import Cell, Stage
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.plan import Plan, by_run, halves
from persona_sweeps.planning.review import stored_model
from persona_sweeps.records.files import read_json, write_json
from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.running.checkpointing import take
from persona_sweeps.wording import counted

TAIL = 3
"""lines of a job's output that are told when it has vanished"""


@dataclass
class Job:
    """A job and the runs that it has to bring to their ends."""

    id: str
    cells: list[Cell]
    state: State = State.waiting
    node: str = ""
    before: dict[str, str | None] = field(default_factory=dict)
    """the digest of what each cell had left as the job was given out: an earlier attempt's; by evaluation id"""
    file: str = ""
    """its group file"""


class Supervisor:
    """Gives groups to jobs and sees to it that every run ends, whatever becomes of the jobs."""

    def __init__(
        self,
        backend: Backend,
        files: SweepFolder,
        console: Console,
        max_retries: int,
        poll_seconds: float,
        search_path: Sequence[str] = (),
    ) -> None:
        """`files` are the sweep's; what is needed to find the jobs again is kept there."""
        self._backend = backend
        self._files = files
        self._console = console
        self._max_retries = max_retries
        self._poll_seconds = poll_seconds
        self._search_path = search_path
        self._jobs: list[Job] = []
        self._lost: Counter[str] = Counter()
        """how often a cell's job was lost, by evaluation id"""
        self._nodes = Nodes(backend.avoid)
        self._next_file = 0
        self._noted: list[dict] | None = None
        self._group_files: list[str] = []

    def run(self, plan: Plan) -> None:
        """Bring all runs of a plan to their ends. Raises Stopped when asked to stop; jobs that survive then go on."""
        stop = stopping.current()
        try:
            with stop.at_once():
                left = self._reattach(plan)
                self._give(list(spread(left, self._backend.slots)))
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
        self._clear()

    def _reattach(self, plan: Plan) -> list[list[Cell]]:
        """Take up the jobs of an earlier command that are still there; return the groups of the other runs."""
        cells = {cell.evaluation_id: cell for cell in plan.to_do}
        known = (read_json(self._files.jobs) or {}).get("jobs", [])
        statuses = self._backend.poll([entry["id"] for entry in known])
        for entry in known:
            own = [cells[name] for name in entry["cells"] if name in cells]
            if own and statuses[entry["id"]].state is not State.ended:
                self._jobs.append(Job(entry["id"], own, before=entry["before"], file=entry.get("file", "")))
                self._group_files.append(entry.get("file", ""))
                self._console.note(f"Job {entry['id']} is still there, with {_runs(own)}.")
        taken = {cell.evaluation_id for job in self._jobs for cell in job.cells}
        for cell in plan.to_do:  # by a job of an earlier command, while this one was planned
            if cell.evaluation_id not in taken and cell.look_again() is Stage.done:
                taken.add(cell.evaluation_id)
                self._console.end(cell, "completed", cell.outcome.metrics)
        groups = [[cell for cell in group if cell.evaluation_id not in taken] for group in plan.groups]
        return [group for group in groups if group]

    def _give(self, groups: Sequence[Sequence[Cell]]) -> None:
        """Start a job for each group."""
        if not groups:
            return
        tasks = []
        for group in groups:
            try:
                path = self._new_file()
                self._group_files.append(path.name)
                write_group(path, group, self._search_path)
                tasks.append(Task(path, group))
            except OSError as error:  # a full disk: the same command tries again
                for cell in group:
                    self._console.end(cell, "failed", {}, f"it couldn't be given to a job: {error}")
        for task, job in zip(tasks, self._backend.submit(tasks), strict=True):
            before = {cell.evaluation_id: _digest(cell) for cell in task.cells}
            self._jobs.append(Job(job, list(task.cells), before=before, file=task.path.name))
            self._console.note(f"Job {job}: {_runs(task.cells)} ({stored_model(task.cells[0].config)}).")
        self._note_jobs()

    def _look(self) -> None:
        """See how the jobs stand, and follow up those that have ended."""
        statuses = self._backend.poll([job.id for job in self._jobs])
        again: list[list[Cell]] = []
        for job in list(self._jobs):
            status = statuses[job.id]
            self._tell_ended(job)
            if status.state is State.ended:
                self._jobs.remove(job)
                again += self._follow_up(job, status)
                if all(_has_ended(cell, job) for cell in job.cells):
                    left = counted(len(self._jobs), "job")
                    self._console.note(f"Job {job.id} ended with {_runs(job.cells)}; {left} to come.")
            elif (status.state, status.node) != (job.state, job.node):
                job.state, job.node = status.state, status.node
                self._nodes.saw(status.node)
                where = f" on {status.node}" if status.node else ""
                self._console.note(f"Job {job.id} is {status.state.value}{where}.")
        self._give(again)
        if not again:
            self._note_jobs()

    def _follow_up(self, job: Job, status: Status) -> list[list[Cell]]:
        """Return the groups in which what a job has left undone is to be tried again."""
        left = [cell for cell in job.cells if not _has_ended(cell, job)]
        if not left:
            self._nodes.worked(job.node)
            return []
        self._console.note(f"Job {job.id} ended without {_runs(left)}: {self._why(job, status)}")
        if (avoided := self._nodes.lost(job.node)) is not None:
            self._console.note(avoided)
        for cell in left:
            self._free(cell, job)
            self._lost[cell.evaluation_id] += 1
        solo = len(by_run(job.cells)) == 1  # else another run may have been what killed the job
        hopeless = [cell for cell in left if solo and self._lost[cell.evaluation_id] > self._max_retries]
        for cell in hopeless:
            self._give_up(
                cell, f"its job was lost {self._lost[cell.evaluation_id]} times, the last: {self._why(job, status)}"
            )
        again = [cell for cell in left if cell not in hopeless]
        # One of them may be what kills the job: solo it can't take the others with it.
        return by_run(again) if len(left) == len(job.cells) else [again] if again else []

    def _free(self, cell: Cell, job: Job) -> None:
        """Remove the lease of a job that is gone: from another node its death would show only after a while."""
        who = holder(cell.folder.lease)
        if who is not None and who.job is not None and who.job == job.id:
            break_dead(cell.folder.lease, who.owner)

    def _give_up(self, cell: Cell, reason: str) -> None:
        from persona_sweeps.running.run_writer import RunWriter
        from persona_sweeps.running.scoring import record_failure

        try:
            if (lease := take(cell, self._console)) is not None:
                with lease:
                    if cell.look_again() is Stage.train:
                        RunWriter(cell, lease, after=None).fail(TrialError(reason))
                    else:
                        record_failure(cell, TrialError(reason))
        except OSError as error:
            reason += f"; and its record couldn't be written: {error}"
        self._console.end(cell, "failed", {}, reason)

    def _why(self, job: Job, status: Status) -> str:
        """Return what is known of a job's end: the place's word for it, and the last lines that it printed."""
        path = self._backend.log(job.id)
        try:
            printed = path.read_text(encoding="utf-8", errors="replace") if path is not None else ""
        except OSError:
            printed = ""
        if (stalled := watchdog.last_words(printed)) is not None:
            return f"{stalled}; {path} has where each thread was"
        told = " / ".join(line.strip() for line in printed.splitlines()[-TAIL:] if line.strip())
        words = status.reason or "it vanished"
        return f"{words} ({told})" if told else words

    def _tell_ended(self, job: Job) -> None:
        for cell in job.cells:
            if cell.evaluation_id not in self._console.ended and _has_ended(cell, job):
                outcome = cell.outcome
                reason = outcome.reason if outcome.status == "failed" else ""
                self._console.end(cell, outcome.status, outcome.metrics, reason)

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
        for name in self._group_files:  # another command of the same sweep may have others
            (self._files.groups / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._files.groups.rmdir()
        if (read_json(self._files.jobs) or {}).get("jobs") == self._noted:
            self._files.jobs.unlink(missing_ok=True)

    def _note_jobs(self) -> None:
        """Write down which jobs there are, where that has changed."""
        jobs = [
            {"id": job.id, "cells": [cell.evaluation_id for cell in job.cells], "before": job.before, "file": job.file}
            for job in self._jobs
        ]
        if jobs == self._noted:
            return
        try:
            write_json(self._files.jobs, {"jobs": jobs})
            self._noted = jobs
        except OSError as error:
            self._console.note(f"{self._files.jobs} couldn't be written: {error}.")

    def _new_file(self) -> Path:
        """Make a group file that no other command uses, earlier or at the same time."""
        folder = self._files.groups
        while True:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"group-{self._next_file}.json"
            self._next_file += 1
            with contextlib.suppress(FileExistsError, FileNotFoundError):  # another one's, or it has removed the folder
                path.touch(exist_ok=False)
                return path


def spread(groups: Sequence[Sequence[Cell]], slots: int) -> Iterator[list[Cell]]:
    """Yield the groups, the largest halved until there is one for each slot or all are single runs."""
    found = [list(group) for group in groups]
    while 0 < len(found) < slots and len(by_run(largest := max(found, key=lambda group: len(by_run(group))))) > 1:
        found[found.index(largest) : found.index(largest) + 1] = list(halves(largest))
    yield from found


def _has_ended(cell: Cell, job: Job) -> bool:
    """Whether a cell has a result of this job, or of another process meanwhile."""
    outcome = cell.outcome
    if not outcome.has_ended:
        return False
    return outcome.status == "completed" or _digest(cell) != job.before.get(cell.evaluation_id)


def _digest(cell: Cell) -> str | None:
    """Return what tells a cell's records from others; times don't, where a run goes on or a clock is set."""
    found = hashlib.sha256()
    for path in (cell.folder.record, cell.folder.evaluation(cell.evaluation_id)):
        with contextlib.suppress(OSError):
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def _runs(cells: Sequence[Cell]) -> str:
    return counted(len(by_run(cells)), "run")
