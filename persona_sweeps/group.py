"""Run one group on the engine: load the base, train its trials together, evaluate them together, write their records.

One trial's failure stays its own: a diverged loss ends that trial, and an error in one trial's set-up, scoring or
saving fails that run. An error in a pass that all share makes every unfinished trial run alone, so that the one to
blame is found.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from persona_sweeps.clock import GroupClock
from persona_sweeps.config import Precision
from persona_sweeps.console import Console
from persona_sweeps.device import resolve_device
from persona_sweeps.member import GroupData, Member
from persona_sweeps.outcome import describe, finish, prune
from persona_sweeps.peak_memory import restart_peaks
from persona_sweeps.plan import Cell
from persona_sweeps.review import stored_model
from persona_sweeps.run_writer import RunWriter
from persona_sweeps.source import Alone, Listed, Report, Source

if TYPE_CHECKING:
    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.limits import Limits

DataOf = Callable[[Cell], GroupData]
"""gives a run its prepared data"""


class BaseCache:
    """Keeps the last base model, since the next group often wants the same one."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._base: BaseModel | None = None
        self._limits: dict[tuple[object, ...] | None, Limits] = {}

    def get(self, cell: Cell, tell: Callable[[str], None]) -> BaseModel:
        """Return the cell's base model, loading it unless it was the last one; measure memory from here on."""
        import torch

        from persona_sweeps.models.loading import load_base
        from persona_sweeps.training.memory import release_memory

        config = cell.config
        device = resolve_device(config.device)
        key = (str(config.model), str(config.quantization), config.train.precision, device)
        if key != self._key:
            self._base = None
        restart_peaks()
        if self._base is None:
            tell(f"Loading {stored_model(config)} …")
            dtype = torch.bfloat16 if config.train.precision is Precision.bf16 else torch.float32
            self._base, self._key = load_base(config.model, dtype, device, config.quantization), key
            release_memory()  # what quantizing left in pieces, too small for training to use
        return self._base

    @property
    def limits(self) -> Limits:
        """What has been learned about how much of the last base's work fits into memory; it outlives the base."""
        from persona_sweeps.training.limits import Limits

        return self._limits.setdefault(self._key, Limits())


def run_group(
    cells: Sequence[Cell],
    data: DataOf,
    bases: BaseCache,
    console: Console,
    source: Source | None = None,
    size: int | None = None,
) -> None:
    """Run a group to its end, and what `source` has to follow it, at most `size` (or as many as these) at a time.

    Raises nothing but what ends the process.
    """
    from persona_sweeps.training.memory import in_plain_words, release_memory

    source = source or Listed()
    group = _Group(data, bases, console, source, size or len(cells))
    try:
        group.run(cells)
        return
    except Exception as error:
        unended = group.unended(cells)
        if len(unended) == 1:
            group.fail(RunWriter(unended[0]), in_plain_words(error))
            return
        told = f"A pass of {len(unended)} trials failed ({type(error).__name__}: {error}); each now runs alone."
        console.note(told)
    # Out here the error is gone, and with its traceback the frames that held the group's trials and tensors.
    del group
    release_memory()
    for cell in unended:
        run_group([cell], data, bases, console, Alone(source))


class _Group:
    """Runs that train together on one base model: some may end, and others take their rows."""

    def __init__(self, data: DataOf, bases: BaseCache, console: Console, source: Source, size: int) -> None:
        self.size = size
        self.data, self.bases, self.console, self.source = data, bases, console, source
        self.clock = GroupClock()
        self.members: list[Member] = []
        self._ended: set[int] = set()
        self._cells: list[Cell] = []

    def unended(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells that have no result yet."""
        return [cell for cell in self._cells or cells if cell.run_id not in self.console.ended]

    def run(self, cells: Sequence[Cell]) -> None:
        """Train these, and those that the source gives as rows fall free, to their ends."""
        from persona_sweeps.adapters.stack import AdapterStack
        from persona_sweeps.training.engine import Engine

        self.base = self.bases.get(cells[0], self.console.note)
        with contextlib.ExitStack() as stack:
            stack.callback(self._abandon_unended)
            adapters = stack.enter_context(AdapterStack(self.base.model, []))
            self.engine = Engine(self.base.model, adapters, [], self.bases.limits, self.console.note)
            stack.enter_context(self.console.training())
            newcomers: Sequence[Cell] = cells
            while newcomers or self.engine.active:
                self._join(newcomers)
                if self.engine.active:
                    self._step()
                newcomers = self._refill()
            self._conclude(self._over())

    def _refill(self) -> Sequence[Cell]:
        """Give rows that have fallen free to what the source has next, once it knows how the others ended."""
        room = self.size - len(self.engine.active)
        if not room or not self.source.is_open:
            return ()
        self._conclude(self._over())
        return self.source.take(room)

    def _join(self, cells: Sequence[Cell]) -> None:
        """Open each run's folder and make its trial; a run whose adapter can't be made fails here, alone."""
        from persona_sweeps.adapters import create_adapter
        from persona_sweeps.training.trial import Trial

        self._cells += cells
        for cell in cells:
            writer = RunWriter(cell)
            try:
                own = self.data(cell)
                adapter = create_adapter(self.base.model, self.base.tokenizer, cell.config.peft, cell.config.seed)
                trial = Trial(adapter, cell.config.train, cell.config.seed, own.train, own.evaluation)
                index = self.engine.add(trial)
            except Exception as error:
                self.fail(writer, error)
                continue
            trial.judge_after(self.source.rungs(cell, trial.total_examples))
            self.members.append(Member(index, cell, own, writer, trial))
            self.clock.join(index)
            self.console.begin(cell, trial.total_steps)

    def _step(self) -> None:
        """Take one step of all, and let the source judge those that have come to a rung."""
        before = {index: self.members[index].trial.progress.unique_tokens for index in self.engine.active}
        logged = self.engine.step()
        reports = []
        for index, values in logged.items():
            member = self.members[index]
            member.writer.log(values)
            self.console.step(member.cell, values)
            if (rung := member.trial.rung) is not None:
                reports.append(_report(member, rung))
        for run_id, reason in (self.source.judge(reports) if reports else {}).items():
            next(m for m in self.members if m.cell.run_id == run_id and m.index in before).trial.prune(reason)
        self.clock.lap(
            {index: self.members[index].trial.progress.unique_tokens - tokens for index, tokens in before.items()}
        )

    def _over(self) -> list[Member]:
        """Return the members that have no steps left and no record yet."""
        return [m for m in self.members if m.index not in self._ended and not m.trial.active]

    def _conclude(self, members: Sequence[Member]) -> None:
        """Record the failed and the pruned, evaluate the others together, and let go of them all."""
        from persona_sweeps.scoring import evaluate
        from persona_sweeps.training.memory import release_memory

        for member in members:
            if member.trial.failure is not None:
                describe(member, self.base, self.clock)
                self.fail(member.writer, member.trial.failure)
            elif member.trial.pruned is not None:
                prune(member, self.base, self.clock)
                self._told(member, "pruned", member.trial.pruned)
        trained = [m for m in members if m.trial.failure is None and m.trial.pruned is None]
        if trained:
            release_memory()  # training leaves pieces of other sizes than evaluation wants
        with self.console.evaluating(len(trained)):
            found = evaluate(self.engine, trained, self.base) if trained else {}
        self.clock.lap({member.index: 1 for member in members})
        for member in trained:
            try:
                finish(member, found[member.index], self.base, self.clock)
                self._told(member, "completed")
            except Exception as error:
                self.fail(member.writer, error)
        for member in members:
            self._ended.add(member.index)
            self.engine.retire(member.index)

    def _told(self, member: Member, status: str, reason: str = "") -> None:
        metrics = member.writer.outcome.metrics
        self.console.end(member.cell, status, metrics, reason)
        self.source.ended(member.cell, status, metrics, reason)

    def fail(self, writer: RunWriter, error: Exception) -> None:
        """Record a run as failed, and tell."""
        writer.fail(error)
        reason = f"{type(error).__name__}: {error}"
        self.console.end(writer.cell, "failed", {}, reason)
        self.source.ended(writer.cell, "failed", {}, reason)

    def _abandon_unended(self) -> None:
        for member in self.members:
            if member.writer.status == "running":
                member.writer.abandon()


def _report(member: Member, rung: int) -> Report:
    progress = member.trial.progress
    assert progress.eval_nll is not None and progress.eval_items is not None
    return Report(member.cell, rung, progress.eval_nll, progress.eval_items)
