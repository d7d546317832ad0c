"""The groups of a plan as work for jobs: what each run's records say decides what is left of it."""

from __future__ import annotations

import contextlib
import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from persona_sweeps.errors import TrialError
from persona_sweeps.execution.backend import JobStatus
from persona_sweeps.execution.job_file import write_group
from persona_sweeps.execution.supervisor import Job
from persona_sweeps.lifecycle.lease import break_dead, holder
from persona_sweeps.planning.cells import Cell, Stage
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.plan import Plan, by_run, halves
from persona_sweeps.planning.review import stored_model
from persona_sweeps.running.checkpointing import take
from persona_sweeps.wording import pluralize

CELLS, BEFORE = "cells", "before"
"""notes of a job: the evaluation ids of its cells, and the digests of the records that earlier attempts left of them"""


class PlanWork:
    """Brings every run of a plan to its end: completed, pruned, or failed with a reason."""

    name = "group"

    def __init__(self, plan: Plan, console: Console, max_retries: int, search_path: Sequence[str] = ()) -> None:
        self._plan = plan
        self._console = console
        self._max_retries = max_retries
        self._search_path = search_path
        self._cells = {cell.evaluation_id: cell for cell in plan.to_do}
        self._lost: Counter[str] = Counter()
        """how often a cell's job was lost, by evaluation id"""

    def describe(self, cells: Sequence[Cell]) -> str:
        return f"{_runs(cells)} ({stored_model(cells[0].config)})"

    def notes(self, cells: Sequence[Cell]) -> dict[str, Any]:
        return {
            CELLS: [cell.evaluation_id for cell in cells],
            BEFORE: {cell.evaluation_id: _digest(cell) for cell in cells},
        }

    def recognize(self, notes: Mapping[str, Any]) -> list[Cell]:
        return [self._cells[name] for name in notes.get(CELLS, ()) if name in self._cells]

    def begin(self, jobs: Sequence[Job], slots: int) -> Sequence[Sequence[Cell]]:
        assigned = {cell.evaluation_id for job in jobs for cell in job.cells}
        for cell in self._plan.to_do:  # by a job of an earlier command, while this one was planned
            if cell.evaluation_id not in assigned and cell.look_again() is Stage.done:
                assigned.add(cell.evaluation_id)
                self._console.end(cell, "completed", cell.outcome.metrics)
        groups = [[cell for cell in group if cell.evaluation_id not in assigned] for group in self._plan.groups]
        return list(spread([group for group in groups if group], slots))

    def write(self, path: Path, cells: Sequence[Cell]) -> None:
        write_group(path, cells, self._search_path)

    def undeliverable(self, cells: Sequence[Cell], reason: str) -> None:
        for cell in cells:
            self._console.end(cell, "failed", {}, reason)

    def follow(self, job: Job) -> None:
        for cell in job.cells:
            if cell.evaluation_id not in self._console.finished and _is_finished(cell, job):
                outcome = cell.outcome
                reason = outcome.reason if outcome.status == "failed" else ""
                self._console.end(cell, outcome.status, outcome.metrics, reason)

    def left(self, job: Job, status: JobStatus, others: int) -> str:
        left = _unfinished(job)
        return f"without {_runs(left)}" if left else ""

    def again(self, job: Job, reason: str) -> Sequence[Sequence[Cell]]:
        left = _unfinished(job)
        for cell in left:
            _free(cell, job)
            self._lost[cell.evaluation_id] += 1
        solo = len(by_run(job.cells)) == 1  # else another run may have been what killed the job
        hopeless = [cell for cell in left if solo and self._lost[cell.evaluation_id] > self._max_retries]
        for cell in hopeless:
            self._give_up(cell, f"its job was lost {self._lost[cell.evaluation_id]} times, the last: {reason}")
        again = [cell for cell in left if cell not in hopeless]
        # One of them may be what kills the job: solo it can't take the others with it.
        return by_run(again) if len(left) == len(job.cells) else [again] if again else []

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


def spread(groups: Sequence[Sequence[Cell]], slots: int) -> Iterator[list[Cell]]:
    """Yield the groups, the largest halved until there is one for each slot or all are single runs."""
    parts = [list(group) for group in groups]
    while 0 < len(parts) < slots and len(by_run(largest := max(parts, key=lambda group: len(by_run(group))))) > 1:
        parts[parts.index(largest) : parts.index(largest) + 1] = list(halves(largest))
    yield from parts


def _unfinished(job: Job) -> list[Cell]:
    return [cell for cell in job.cells if not _is_finished(cell, job)]


def _is_finished(cell: Cell, job: Job) -> bool:
    """Whether a cell has a result of this job, or of another process meanwhile."""
    outcome = cell.outcome
    if not outcome.is_finished:
        return False
    return outcome.status == "completed" or _digest(cell) != job.notes[BEFORE].get(cell.evaluation_id)


def _digest(cell: Cell) -> str:
    """Return a digest of a cell's records: modification times don't tell them apart where a clock is set."""
    records = hashlib.sha256()
    for path in (cell.folder.record, cell.folder.evaluation(cell.evaluation_id)):
        with contextlib.suppress(OSError):
            records.update(path.read_bytes())
    return records.hexdigest()[:16]


def _free(cell: Cell, job: Job) -> None:
    """Remove the lease of a job that is gone: from another node its death would show only after a while."""
    who = holder(cell.folder.lease)
    if who is not None and who.job is not None and who.job == job.id:
        break_dead(cell.folder.lease, who.owner)


def _runs(cells: Sequence[Cell]) -> str:
    return pluralize(len(by_run(cells)), "run")
