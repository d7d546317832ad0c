"""Run one group on the engine: load the base, train its trials together, evaluate them together, write their records.

One trial's failure stays its own: a diverged loss ends that trial, and an error in one trial's set-up, scoring or
saving fails that run. An error in a pass that all share makes every unfinished trial run alone, so that the one to
blame is found.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence

from persona_sweeps.config.kinds import kind_of
from persona_sweeps.errors import TrialError
from persona_sweeps.lifecycle.lease import Lease, LeaseLost
from persona_sweeps.lifecycle.stopping import Stopped
from persona_sweeps.planning.cells import Cell
from persona_sweeps.records.run import read_record
from persona_sweeps.running.checkpointing import Keeper, forget, take
from persona_sweeps.running.clock import GroupClock
from persona_sweeps.running.context import Context
from persona_sweeps.running.group_run import Member
from persona_sweeps.running.outcome import describe, finish, prune
from persona_sweeps.running.run_writer import RunWriter
from persona_sweeps.running.source import Alone, Listed, Report, Source


def run_group(
    cells: Sequence[Cell], context: Context, source: Source | None = None, size: int | None = None
) -> list[Cell]:
    """Run a group to its end, and what `source` has to follow it, at most `size` (or as many as these) at a time.

    Returns the runs that were left alone, since another process is training them. Raises Stopped when the process is
    asked to stop, with all that was in training saved, and else nothing but what ends the process.
    """
    with context.stop.later():
        return _run_group(cells, context, source, size)


def _run_group(cells: Sequence[Cell], context: Context, source: Source | None, size: int | None) -> list[Cell]:
    from persona_sweeps.training.memory import in_plain_words, release_memory

    source = source or Listed()
    first = cells[0].config
    group: Group = kind_of(first.peft.method).group(context, source, size or len(cells), first.checkpoint_seconds)
    try:
        group.run(cells)
        return group.elsewhere
    except Exception as error:
        unended = group.unended(cells)
        if not unended:  # no run's fault
            raise
        if len(unended) == 1:
            group.fail_alone(unended[0], in_plain_words(error))
            return group.elsewhere
        told = f"A pass of {len(unended)} trials failed ({type(error).__name__}: {error}); each now runs alone."
        context.console.note(told)
    # Out here the error is gone, and with its traceback the frames that held the group's trials and tensors.
    elsewhere = group.elsewhere
    del group
    release_memory()
    for cell in unended:
        elsewhere += _run_group([cell], context, Alone(source), None)
    return elsewhere


class Group:
    """Runs that train together on one base model: some may end, and others take their rows."""

    def __init__(self, context: Context, source: Source, size: int, checkpoint_seconds: float | None) -> None:
        self.size = size
        self.context, self.source = context, source
        self.console, self.stop = context.console, context.stop
        self.clock = GroupClock()
        self.keeper = Keeper(checkpoint_seconds, self.clock, self.console)
        self.members: list[Member] = []
        self.elsewhere: list[Cell] = []
        self._ended: set[int] = set()
        self._logged: dict[int, int] = {}
        """the step up to which each member's history goes"""
        self._cells: list[Cell] = []

    def unended(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells that have no result yet, but for those that another process is training."""
        others = {cell.run_id for cell in self.elsewhere}
        return [c for c in self._cells or cells if c.run_id not in self.console.ended and c.run_id not in others]

    def run(self, cells: Sequence[Cell]) -> None:
        """Train these, and those that the source gives as rows fall free, to their ends."""
        from persona_sweeps.methods.stack import AdapterStack
        from persona_sweeps.training.engine import Engine

        with self.stop.at_once():
            self.base = self.context.bases.get(cells[0], self.console.note)
        with contextlib.ExitStack() as stack:
            stack.callback(self._abandon_unended)
            stack.push(self._keep_after)
            adapters = stack.enter_context(AdapterStack(self.base.model, []))
            self.engine = Engine(self.base.model, adapters, [], self.context.bases.limits, self.console.note)
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
        """Take what no other process is training, and make each run's trial; where that fails, the run fails alone."""
        self._cells += cells
        for cell in cells:
            try:
                lease = take(cell, self.console)
            except OSError as error:  # a full disk, or a folder that can't be written
                self.told(cell, "failed", {}, _reason(error))
                continue
            if lease is None:
                self.elsewhere.append(cell)
            elif (record := read_record(cell.folder)) is not None and record["status"] == "completed":
                lease.release()  # another process was quicker
                self.told(cell, "completed", record["metrics"])
            else:
                self._begin(cell, lease)

    def _begin(self, cell: Cell, lease: Lease) -> None:
        """Open a run's folder and make its trial, which goes on from its checkpoint if it has one."""
        try:
            own = self.context.data(cell)
            trial, found = self.keeper.trial(cell, self.base, own)
        except Exception as error:
            self.fail_unbegun(cell, lease, error)
            return
        try:
            writer = RunWriter(cell, lease, after=trial.progress.step)
        except Exception as error:  # such as a full disk
            lease.release()
            self.told(cell, "failed", {}, _reason(error))
            return
        try:
            member = Member(len(self.engine.trials), cell, own, writer, trial)
            self.clock.join(member.index)
            if found is not None:
                self.keeper.credit(member, found)
            trial.judge_after(self.source.rungs(cell, trial.total_examples))
            self.engine.add(trial)
        except Exception as error:
            self.fail(writer, error)
            return
        self._logged[member.index] = trial.progress.step
        self.members.append(member)
        self.console.begin(cell, trial.total_steps)

    def _step(self) -> None:
        """Take one step of all, and let the source judge those that have come to a rung."""
        before = {index: self.members[index].trial.progress.unique_tokens for index in self.engine.active}
        logged = self.engine.step()
        reports = []
        for index, values in logged.items():
            member = self.members[index]
            member.writer.log(values)
            self._logged[index] = member.trial.progress.step
            self.console.step(member.cell, values)
            if (rung := member.trial.rung) is not None:
                reports.append(_report(member, rung))
        for run_id, reason in (self.source.judge(reports) if reports else {}).items():
            next(m for m in self.members if m.cell.run_id == run_id and m.index in before).trial.prune(reason)
        self.clock.lap(
            {index: self.members[index].trial.progress.unique_tokens - tokens for index, tokens in before.items()}
        )
        if self.stop.requested or self.keeper.due:
            self._keep()
            self.stop.check()

    def _keep_after(self, kind: type[BaseException] | None, *_: object) -> None:
        """Save what an error in a shared pass would lose: each run goes on alone from there."""
        if kind is not None and issubclass(kind, Exception):
            self._keep()

    def _keep(self) -> None:
        """Save what has been trained and isn't in a record yet.

        A trial whose last step is in no history, since a pass failed within it, goes on from an earlier checkpoint.
        """
        live = [member for member in self.members if member.index not in self._ended]
        self.keeper.save(m for m in live if self._logged[m.index] == m.trial.progress.step)

    def _over(self) -> list[Member]:
        """Return the members that have no steps left and no record yet."""
        return [m for m in self.members if m.index not in self._ended and not m.trial.active]

    def _conclude(self, members: Sequence[Member]) -> None:
        """Record the failed and the pruned, evaluate the others together, and let go of them all."""
        from persona_sweeps.running.scoring import evaluate
        from persona_sweeps.training.memory import release_memory

        for member in members:
            if member.trial.failure is not None:
                describe(member, self.base, self.clock, self.keeper.resumes(member))
                self.fail(member.writer, member.trial.failure)
            elif member.trial.pruned is not None:
                self._prune(member, member.trial.pruned)
        trained = [m for m in members if m.trial.failure is None and m.trial.pruned is None]
        if trained:
            release_memory()  # training leaves pieces of other sizes than evaluation wants
        try:
            with self.console.evaluating(len(trained)), self.stop.at_once():
                found = evaluate(self.engine, trained, self.base) if trained else {}
        except Stopped:
            self._keep()
            raise
        self.clock.lap({member.index: 1 for member in members})
        for member in trained:
            try:
                member.writer.check()
                finish(member, found[member.index], self.base, self.clock, self.keeper.resumes(member))
                self.told(member.cell, "completed", member.writer.outcome.metrics)
            except Exception as error:
                if not isinstance(error, TrialError | LeaseLost):  # its training was sound, and is kept
                    self.keeper.save([member])
                self.fail(member.writer, error)
            self._ended.add(member.index)
        for member in members:
            self._ended.add(member.index)
            self.engine.retire(member.index)

    def _prune(self, member: Member, reason: str) -> None:
        try:
            prune(member, self.base, self.clock, self.keeper.resumes(member))
            self.told(member.cell, "pruned", member.writer.outcome.metrics, reason)
        except Exception as error:
            self.fail(member.writer, error)

    def told(self, cell: Cell, status: str, metrics: Mapping[str, float], reason: str = "") -> None:
        if status != "failed":
            forget(cell)
        self.console.end(cell, status, metrics, reason)
        self.source.ended(cell, status, metrics, reason)

    def fail(self, writer: RunWriter, error: Exception) -> None:
        """Record a run as failed, and tell; a checkpoint stays, unless training itself was what failed."""
        reason = _reason(error)
        try:
            writer.fail(error)
        except LeaseLost as lost:
            self.console.note(str(lost))
            self.elsewhere.append(writer.cell)
            writer.abandon()
            return
        except OSError as second:
            reason += f"; and its record couldn't be written: {second}"
            writer.abandon()
        if isinstance(error, TrialError):
            forget(writer.cell)
        self.told(writer.cell, "failed", {}, reason)

    def fail_alone(self, cell: Cell, error: Exception) -> None:
        """Record a run as failed that no member stands for any more, or never did."""
        try:
            lease = take(cell, self.console)
        except OSError as second:
            self.told(cell, "failed", {}, f"{_reason(error)}; and its record couldn't be written: {second}")
            return
        if lease is None:
            self.elsewhere.append(cell)
        else:
            self.fail_unbegun(cell, lease, error)

    def fail_unbegun(self, cell: Cell, lease: Lease, error: Exception) -> None:
        try:
            writer = RunWriter(cell, lease, after=None)
        except Exception as second:
            lease.release()
            self.told(cell, "failed", {}, f"{_reason(error)}; and its record couldn't be written: {second}")
            return
        self.fail(writer, error)

    def _abandon_unended(self) -> None:
        for member in self.members:
            if member.writer.status == "running":
                member.writer.abandon()


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _report(member: Member, rung: int) -> Report:
    progress = member.trial.progress
    assert progress.eval_nll is not None and progress.eval_items is not None
    return Report(member.cell, rung, progress.eval_nll, progress.eval_items)
