"""Keep the runs of a group safe while they train: leases that say whose they are, and checkpoints to go on from."""

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
from persona_sweeps.records.files import aside, free_name
from persona_sweeps.records.run import is_trained, read_record
from persona_sweeps.running.clock import GroupClock
from persona_sweeps.running.group_run import GroupData, GroupRun
from persona_sweeps.running.run_writer import torn_lines
from persona_sweeps.wording import counted

if TYPE_CHECKING:
    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.checkpoint import Checkpoint
    from persona_sweeps.training.trial import Trial

POLL = 1.0
"""seconds between looks at what other processes have in training"""


class Checkpointer:
    """Saves the trials of a group every so many seconds; a save that fails is told and costs nothing else."""

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
        """Write a checkpoint of each trial that has taken a step and is sound."""
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
        """Make a run's trial, brought to where its newest usable checkpoint has it; return that one too."""
        from persona_sweeps.training.trial import Trial

        while True:
            found = self._stored(cell)
            adapter = cell.config.peft.create(base.model, base.tokenizer, cell.config.seed)
            trial = Trial(adapter, cell.config.train, cell.config.seed, data.train, data.evaluation)
            if found is None or self._restored(trial, cell, found):
                return trial, found

    def _stored(self, cell: Cell) -> Checkpoint | None:
        """Return the newest whole checkpoint of a run, if it has one; tell of those that were set aside."""
        from persona_sweeps.training import checkpoint

        found, told = checkpoint.newest(cell.folder.checkpoint, cell.run_id)
        for sentence in told:
            self._console.note(sentence)
        return found

    def _restored(self, trial: Trial, cell: Cell, found: Checkpoint) -> bool:
        """Bring a fresh trial to where a checkpoint has it.

        One that doesn't fit is set aside, and False is returned: then the trial is of no use.
        """
        from persona_sweeps.training import checkpoint

        try:
            checkpoint.restore(trial, found)
        except (checkpoint.CheckpointError, LookupError, TypeError, ValueError) as error:
            checkpoint.set_aside(found.path)
            self._console.note(f"{cell.name}: {found.path} was set aside: {error}.")
            return False
        return True

    def credit(self, run: GroupRun, found: Checkpoint) -> None:
        """Count what a run had taken before it was interrupted, and the interruption."""
        notes = found.notes
        self._resumes[run.cell.run_id] = int(notes["resumes"]) + 1
        self._clock.credit(run.cell.run_id, notes["wall_seconds"], notes["cpu_seconds"])
        self._console.note(f"{run.cell.name} goes on from step {found.step}.")

    def resumes(self, run: GroupRun) -> int:
        """Return how often a run was interrupted and went on."""
        return self._resumes.get(run.cell.run_id, 0)


def forget(cell: Cell) -> None:
    """Remove the checkpoints of a run that has ended."""
    from persona_sweeps.training import checkpoint

    with contextlib.suppress(OSError):
        checkpoint.remove(cell.folder.checkpoint)


def wait_for_one(cells: Sequence[Cell]) -> list[Cell]:
    """Wait until another process has let go of one of these runs, or died; return all that are free by then."""
    while True:
        free = [cell for cell in cells if (who := holder(cell.folder.lease)) is None or who.alive is False]
        if free:
            return free
        watchdog.feed()
        time.sleep(POLL)


def take(cell: Cell, console: Console) -> Lease | None:
    """Take a run for this process; None, and a word, when another is training it.

    What a killed process left half written is removed. A record, a history or an evaluation that can't be read is set
    aside: it is neither trusted nor removed. Raises OSError for a full disk, or a folder that can't be written.
    """
    cell.folder.path.mkdir(parents=True, exist_ok=True)
    taken = acquire(cell.folder.lease)
    if taken is None:
        who = holder(cell.folder.lease)
        console.note(f"{cell.name} is in training by {who or 'another process'}.")
        return None
    try:
        cell.folder.clear_drafts()
        _set_aside_garbage(cell, console)
        if is_trained(cell.folder):  # by a process that was killed before it could remove them
            forget(cell)
    except BaseException:
        taken.release()
        raise
    return taken


def _set_aside_garbage(cell: Cell, console: Console) -> None:
    for sentence in set_aside_broken(cell.folder):
        console.note(sentence)
    record, history = cell.folder.record, cell.folder.history
    if record.exists() and read_record(cell.folder) is None:
        console.note(f"{record} can't be read; it was set aside as {aside(record).name}, and the run is trained.")
    if torn := torn_lines(history):
        copied = free_name(history)
        shutil.copy2(history, copied)
        lines = counted(torn, "line")
        console.note(f"{lines} of {history} can't be read; it was copied to {copied.name}, and goes on without.")
