"""Protect the runs of a group while they train: leases against other processes, checkpoints against interruptions."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from persona_sweeps.lifecycle import watchdog
from persona_sweeps.lifecycle.lease import Lease, LeaseLost, acquire, holder
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.console import Console
from persona_sweeps.records.evaluation import set_aside_broken
from persona_sweeps.records.files import free_name, set_aside
from persona_sweeps.records.run import is_trained, read_record
from persona_sweeps.running.clock import GroupClock
from persona_sweeps.running.group_run import GroupData, GroupRun
from persona_sweeps.running.run_writer import torn_lines
from persona_sweeps.wording import pluralize

if TYPE_CHECKING:
    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.checkpoint import Checkpoint
    from persona_sweeps.training.trial import Trial

POLL = 1.0
"""seconds between checks of other processes' leases"""


class Checkpointer:
    """Saves the trials of a group every so many seconds; a failed save is reported, and training goes on."""

    def __init__(self, every: float | None, clock: GroupClock, console: Console) -> None:
        self._every = every
        self._clock = clock
        self._console = console
        self._last = time.monotonic()
        self._resumes: dict[str, int] = {}

    @property
    def due(self) -> bool:
        return self._every is not None and time.monotonic() - self._last >= self._every

    def save(self, runs: Iterable[GroupRun]) -> None:
        """Write a checkpoint of each trial that has taken a step and hasn't failed."""
        from persona_sweeps.training import checkpoint

        for run in runs:
            trial = run.trial
            if trial is None or run.writer is None:
                continue
            if trial.failure is not None or trial.pruned is not None or not trial.progress.step:
                continue
            share = self._clock.share(run.cell.run_id)
            notes = {key: share[key] for key in ("wall_seconds", "cpu_seconds")}
            notes["resumes"] = self._resumes.get(run.cell.run_id, 0)
            try:
                run.writer.secure()
                checkpoint.save(trial, run.cell.folder.checkpoint, run.cell.run_id, notes)
            except (OSError, LeaseLost) as error:
                self._console.note(f"{run.cell.name}: no checkpoint at step {trial.progress.step}: {error}.")
        self._last = time.monotonic()

    def trial(self, cell: Cell, base: BaseModel, data: GroupData) -> tuple[Trial, Checkpoint | None]:
        """Return a run's trial, restored from its newest usable checkpoint, and that checkpoint (None: a new trial)."""
        from persona_sweeps.training.trial import Trial

        while True:
            saved = self._newest(cell)
            adapter = cell.config.peft.start(base.model, base.tokenizer, cell.config.seed)
            trial = Trial(adapter, cell.config.train, cell.config.seed, data.train, data.monitored)
            if saved is None or self._restore(trial, cell, saved):
                return trial, saved

    def _newest(self, cell: Cell) -> Checkpoint | None:
        """Return the newest complete checkpoint of a run, if it has one; report those that were set aside."""
        from persona_sweeps.training import checkpoint

        newest, sentences = checkpoint.newest(cell.folder.checkpoint, cell.run_id)
        for sentence in sentences:
            self._console.note(sentence)
        return newest

    def _restore(self, trial: Trial, cell: Cell, saved: Checkpoint) -> bool:
        """Restore a fresh trial from a checkpoint; return whether that succeeded.

        A checkpoint that doesn't fit is set aside; the trial must then be discarded.
        """
        from persona_sweeps.training import checkpoint

        try:
            checkpoint.restore(trial, saved)
        except (checkpoint.CheckpointError, LookupError, TypeError, ValueError) as error:
            checkpoint.set_aside(saved.path)
            self._console.note(f"{cell.name}: {saved.path} was set aside: {error}.")
            return False
        return True

    def credit(self, run: GroupRun, saved: Checkpoint) -> None:
        """Count the seconds that a run took before its interruption, and the interruption itself."""
        notes = saved.notes
        self._resumes[run.cell.run_id] = int(notes["resumes"]) + 1
        self._clock.credit(run.cell.run_id, notes["wall_seconds"], notes["cpu_seconds"])
        self._console.note(f"{run.cell.name} goes on from step {saved.step}.")

    def resumes(self, run: GroupRun) -> int:
        """Return how often a run was interrupted and resumed."""
        return self._resumes.get(run.cell.run_id, 0)


def forget(cell: Cell) -> None:
    """Remove the checkpoints of a finished run."""
    from persona_sweeps.training import checkpoint

    with contextlib.suppress(OSError):
        checkpoint.remove(cell.folder.checkpoint)


def wait_for_one(cells: Sequence[Cell]) -> list[Cell]:
    """Wait until another process has released one of these runs, or died; return all that are free by then."""
    while True:
        free = [cell for cell in cells if (owner := holder(cell.folder.lease)) is None or owner.alive is False]
        if free:
            return free
        watchdog.feed()
        time.sleep(POLL)


def take(cell: Cell, console: Console) -> Lease | None:
    """Acquire a run's lease for this process; return None, with a note, if another process is training it.

    Drafts that a killed process left are removed. An unreadable record, history or evaluation is set aside, neither
    trusted nor removed. Raises OSError for a full disk, or a folder that can't be written.
    """
    cell.folder.path.mkdir(parents=True, exist_ok=True)
    lease = acquire(cell.folder.lease)
    if lease is None:
        owner = holder(cell.folder.lease)
        console.note(f"{cell.name} is in training by {owner or 'another process'}.")
        return None
    try:
        cell.folder.clear_drafts()
        _set_aside_unreadable(cell, console)
        if is_trained(cell.folder):  # by a process that was killed before it could remove them
            forget(cell)
    except BaseException:
        lease.release()
        raise
    return lease


def _set_aside_unreadable(cell: Cell, console: Console) -> None:
    for sentence in set_aside_broken(cell.folder):
        console.note(sentence)
    record, history = cell.folder.record, cell.folder.history
    if record.exists() and read_record(cell.folder) is None:
        console.note(f"{record} can't be read; it was set aside as {set_aside(record).name}, and the run is trained.")
    if torn := torn_lines(history):
        copied = free_name(history)
        shutil.copy2(history, copied)
        lines = pluralize(torn, "line")
        console.note(f"{lines} of {history} can't be read; it was copied to {copied.name}, and goes on without them.")
