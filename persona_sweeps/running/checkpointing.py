"""Protect the runs of a group while they train: leases against other processes, checkpoints against interruptions."""

from __future__ import annotations

import contextlib
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from persona_sweeps.lifecycle import watchdog
from persona_sweeps.lifecycle.lease import Lease, LeaseLost, acquire, holder
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.console import Console
from persona_sweeps.records.evaluation import set_aside_broken
from persona_sweeps.records.files import free_name, set_aside, write_json
from persona_sweeps.records.run import changed_weights, is_trained, read_record
from persona_sweeps.running.clock import GroupClock
from persona_sweeps.running.group_run import GroupData, GroupRun
from persona_sweeps.running.run_writer import torn_lines
from persona_sweeps.wording import pluralize

if TYPE_CHECKING:
    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.checkpoint import Checkpoint, Moment
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
        self._wanted: dict[str, Callable[[Moment | None], bool]] = {}

    @property
    def due(self) -> bool:
        return self._every is not None and time.monotonic() - self._last >= self._every

    def save(self, runs: Iterable[GroupRun]) -> None:
        """Write a checkpoint of each trial that has taken a step and hasn't failed."""
        from persona_sweeps.training import checkpoint

        saved = [run for run in runs if run.writer is not None and _is_worth_saving(run.trial)]
        ids = tuple(run.cell.run_id for run in saved)
        name, written = uuid.uuid4().hex, []
        for run in saved:
            assert run.trial is not None and run.writer is not None
            trial, folder = run.trial, run.cell.folder.checkpoint
            moment = checkpoint.Moment(name, ids, first=not checkpoint.moments(folder))
            share = self._clock.share(run.cell.run_id)
            notes = {key: share[key] for key in ("wall_seconds", "cpu_seconds")}
            notes["resumes"] = self._resumes.get(run.cell.run_id, 0)
            try:
                run.writer.secure()
                written.append(checkpoint.save(trial, folder, run.cell.run_id, notes, moment))
            except (OSError, LeaseLost) as error:
                self._console.note(f"{run.cell.name}: no checkpoint at step {trial.progress.step}: {error}.")
        # Until all are written, the older ones are what the group can go on from together.
        for path in written if len(written) == len(saved) else []:
            checkpoint.remove_older(path)
        self._last = time.monotonic()

    def expect(self, cells: Iterable[Cell]) -> None:
        """Note for each of these runs from which checkpoint the group goes on, so that all do from the same moment.

        A kill while the group was saved leaves newer ones of some runs. If those resumed further on, the passes near
        the end would be others than uninterrupted, and in them sums are rounded otherwise.
        """
        from persona_sweeps.training import checkpoint

        found = {cell.run_id: checkpoint.moments(cell.folder.checkpoint) for cell in cells}
        self._wanted |= {run_id: _together(moments, found) for run_id, moments in found.items()}

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

        is_wanted = self._wanted.get(cell.run_id, lambda moment: True)
        newest, sentences = checkpoint.newest(cell.folder.checkpoint, cell.run_id, is_wanted)
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


def _is_worth_saving(trial: Trial | None) -> bool:
    return trial is not None and trial.failure is None and trial.pruned is None and bool(trial.progress.step)


def _together(
    moments: Sequence[Moment | None], found: Mapping[str, Sequence[Moment | None]]
) -> Callable[[Moment | None], bool]:
    """Return which moments of a run it may go on from, given the moments of all runs that are in `found`.

    That is the newest one of which every run has its checkpoint that then was in training; whichever is the newest, if
    there is none; and the start, if a kill came while the group was saved for the first time.
    """
    names = {run_id: {moment.name for moment in of_run if moment} for run_id, of_run in found.items()}
    whole = [m for m in moments if m is not None and all(m.name in names[run] for run in m.runs if run in names)]
    if whole:
        return lambda moment: moment == whole[0]
    first = moments[0] if len(moments) == 1 else None
    if first is not None and first.first and any(run in names and not names[run] for run in first.runs):
        return lambda moment: False
    return lambda moment: True


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
    _set_aside_weights(cell, console)
    record, history = cell.folder.record, cell.folder.history
    if record.exists() and read_record(cell.folder) is None:
        console.note(f"{record} can't be read; it was set aside as {set_aside(record).name}, and the run is trained.")
    if torn := torn_lines(history):
        copied = free_name(history)
        shutil.copy2(history, copied)
        lines = pluralize(torn, "line")
        console.note(f"{lines} of {history} can't be read; it was copied to {copied.name}, and goes on without them.")


def _set_aside_weights(cell: Cell, console: Console) -> None:
    """Set an adapter or model aside whose files have changed since they were written; the run is trained again."""
    record = read_record(cell.folder)
    if record is None or record["status"] != "completed" or not (changed := changed_weights(cell.folder, record)):
        return
    write_json(
        cell.folder.record, {**record, "status": "running"}
    )  # else it would pass for one whose adapter was removed
    for name in dict.fromkeys(path.relative_to(cell.folder.path).parts[0] for path in changed):
        root = cell.folder.path / name
        first = next(path for path in changed if root in path.parents)
        console.note(
            f"{first} has changed since it was written: {name} was set aside as {set_aside(root).name}, and the run is "
            "trained again."
        )
