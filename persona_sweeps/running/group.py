"""A group of cells on the engine: train the missing runs, make their predictions, score them.

A failure affects one run only: a diverged loss ends that run, and an error in a run's set-up, saving or scoring fails
that run or that evaluation. After an error in a shared pass, run_group.py finds the run that causes it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from persona_sweeps.errors import TrialError
from persona_sweeps.lifecycle.lease import Lease, LeaseLost
from persona_sweeps.planning.cells import Cell, Stage
from persona_sweeps.planning.plan import by_run
from persona_sweeps.running.checkpointing import Checkpointer, forget, take
from persona_sweeps.running.clock import GroupClock
from persona_sweeps.running.context import Context
from persona_sweeps.running.group_run import GroupRun
from persona_sweeps.running.run_writer import RunWriter
from persona_sweeps.running.scoring import record_failure, score
from persona_sweeps.running.source import RungReport, RunSource
from persona_sweeps.running.training_record import complete, describe, prune

if TYPE_CHECKING:
    from persona_sweeps.training.engine import Engine


class Group:
    """Runs on one base model; when one finishes, another may join in its stead."""

    def __init__(self, context: Context, source: RunSource, size: int, checkpoint_seconds: float | None) -> None:
        self.size = size
        self.context, self.source = context, source
        self.console, self.stop = context.console, context.stop
        self.clock = GroupClock()
        self.checkpointer = Checkpointer(checkpoint_seconds, self.clock, self.console)
        self.runs: list[GroupRun] = []
        self.elsewhere: list[Cell] = []
        self._logged: dict[str, int] = {}
        """run id → the last step in the run's history"""
        self._cells: list[Cell] = []
        self._engine: Engine | None = None
        self._hooks = contextlib.ExitStack()

    def unfinished(self, cells: Sequence[Cell]) -> list[Cell]:
        """Return the cells without a result, except those whose runs another process has."""
        others = {cell.run_id for cell in self.elsewhere}
        all_cells = self._cells or cells
        return [c for c in all_cells if c.evaluation_id not in self.console.finished and c.run_id not in others]

    def run(self, cells: Sequence[Cell]) -> None:
        """Carry out these cells, and those that the source adds when there is room."""
        with self.stop.at_once():
            self.base = self.context.bases.get(cells[0], self.console.note)
        with contextlib.ExitStack() as stack:
            stack.callback(self._abandon)
            stack.push(self._save_after)
            stack.callback(self._close_engine)
            stack.enter_context(self.console.training())
            newcomers: Sequence[Cell] = cells
            while newcomers or self._in_training:
                self._join(newcomers)
                if self._in_training:
                    self._step()
                newcomers = self._refill()
            self._conclude()

    @property
    def engine(self) -> Engine:
        """The engine that the runs share; made when first needed."""
        if self._engine is None:
            from persona_sweeps.methods.stack import AdapterStack
            from persona_sweeps.training.engine import Engine

            adapters = self._hooks.enter_context(AdapterStack(self.base.model, []))
            limits, console = self.context.bases.limits, self.console
            self._engine = Engine(self.base.model, adapters, [], limits, console.note, console.answered)
        return self._engine

    def _close_engine(self) -> None:
        """Close the engine and restore the base model."""
        self._engine = None
        self._hooks.close()

    @property
    def _in_training(self) -> list[int]:
        return self._engine.active if self._engine is not None else []

    def _refill(self) -> Sequence[Cell]:
        """Return the source's next cells for the free room, after it was informed of the finished runs."""
        room = self.size - len(self._in_training)
        if not room or not self.source.is_open:
            return ()
        self._conclude()
        return self.source.take(room)

    def _join(self, cells: Sequence[Cell]) -> None:
        """Take the leases of runs that no other process has, and begin these runs; on an error the run fails."""
        self._cells += cells
        self.checkpointer.expect(cells)
        for run_cells in by_run(cells):
            try:
                lease = take(run_cells[0], self.console)
            except OSError as error:  # a full disk, or a folder that can't be written
                self._finish(run_cells, "failed", reason=_reason(error))
                continue
            if lease is None:
                self.elsewhere += run_cells
                continue
            left = []
            for cell in run_cells:
                if cell.look_again() is Stage.done:  # another process was quicker
                    self._finish([cell], "completed", cell.outcome.metrics)
                else:
                    left.append(cell)
            if left:
                self._begin(left, lease)
            else:
                lease.release()

    def _begin(self, cells: list[Cell], lease: Lease) -> None:
        """Add a run: with a trial, resumed from a checkpoint if there is one, or as it was trained before."""
        if cells[0].stage is not Stage.train:
            try:
                self.runs.append(GroupRun(cells, lease, self.context.data(cells[0])))
            except Exception as error:
                self._fail_before(cells, lease, error)
            return
        cell = cells[0]
        if not cell.config.peft.trains:
            self._begin_untrained(cells, lease)
            return
        try:
            data = self.context.data(cell)
            trial, saved = self.checkpointer.trial(cell, self.base, data)
        except Exception as error:
            self._fail_before(cells, lease, error)
            return
        try:
            writer = RunWriter(cell, lease, after=trial.progress.step)
        except Exception as error:  # such as a full disk
            lease.release()
            self._finish(cells, "failed", reason=_reason(error))
            return
        run = GroupRun(cells, lease, data, writer, trial)
        try:
            self.clock.join(cell.run_id)
            if saved is not None:
                self.checkpointer.credit(run, saved)
            trial.judge_after(self.source.rungs(cell, trial.total_examples))
            run.index = self.engine.add(trial)
        except Exception as error:
            self._fail(run, error)
            return
        self._logged[cell.run_id] = trial.progress.step
        self.runs.append(run)
        self.console.begin(cell, trial.total_steps)

    def _begin_untrained(self, cells: list[Cell], lease: Lease) -> None:
        """Add a predictor that trains nothing, and record its run as completed."""
        try:
            run = GroupRun(cells, lease, self.context.data(cells[0]), RunWriter(cells[0], lease))
        except Exception as error:
            self._fail_before(cells, lease, error)
            return
        self.runs.append(run)
        self.clock.join(run.cell.run_id)
        self.console.begin(run.cell, 0)
        try:
            complete(run, self.base, self.clock)
        except Exception as error:
            self._fail(run, error)

    def _step(self) -> None:
        """Take one step of all trials, and let the source judge those that have reached a rung."""
        training = {run.index: run for run in self.runs if run.in_training and run.index in self._in_training}
        before = {index: _tokens(run) for index, run in training.items()}
        reports = []
        for index, values in self.engine.start().items():
            training[index].log(values)
        for index, values in self.engine.step().items():
            run = training[index]
            assert run.writer is not None and run.trial is not None
            run.writer.log(values)
            self._logged[run.cell.run_id] = run.trial.progress.step
            self.console.step(run.cell, values)
            if (rung := run.trial.rung) is not None:
                reports.append(_report(run, rung))
        for run_id, reason in (self.source.judge(reports) if reports else {}).items():
            judged = next(run for run in training.values() if run.cell.run_id == run_id)
            assert judged.trial is not None
            judged.trial.prune(reason)
        self.clock.lap({run.cell.run_id: _tokens(run) - before[index] for index, run in training.items()})
        if self.stop.requested or self.checkpointer.due:
            self._save()
            self.stop.check()

    def _save_after(self, kind: type[BaseException] | None, *_: object) -> None:
        """Save all trials after an error in a shared pass: each run goes on solo from there."""
        if kind is not None and issubclass(kind, Exception):
            self._save()

    def _save(self) -> None:
        """Save the trials in training.

        A trial whose last step isn't in its history, since a pass failed within the step, isn't saved: it resumes from
        an earlier checkpoint.
        """
        live = [run for run in self.runs if run.in_training and run.trial is not None]
        self.checkpointer.save(r for r in live if r.trial and self._logged[r.cell.run_id] == r.trial.progress.step)

    def _conclude(self) -> None:
        """Record the results of trials that have no step left, evaluate them together, and drop the finished runs."""
        waiting = [run for run in self.runs if not run.over and (run.trial is None or not run.trial.active)]
        answering = [run for run in waiting if self._conclude_training(run)]
        if not self._in_training:
            self._close_engine()
        if answering:
            self._evaluate(answering)
        self.runs = [run for run in self.runs if not run.over]

    def _conclude_training(self, run: GroupRun) -> bool:
        """Record the result of a run's training; return whether the run is to be evaluated."""
        trial = run.trial
        if trial is None:
            return True
        resumes = self.checkpointer.resumes(run)
        try:
            if trial.failure is not None:
                describe(run, self.base, self.clock, resumes)
                self._fail(run, trial.failure)
            elif trial.pruned is not None:
                prune(run, self.base, self.clock, resumes)
                self._finish(run.cells, "pruned", reason=trial.pruned)
                run.release()
            else:
                complete(run, self.base, self.clock, resumes)
                forget(run.cell)
        except Exception as error:
            if not isinstance(error, TrialError | LeaseLost):  # the training itself succeeded, so keep it
                self.checkpointer.save([run])
            self._fail(run, error)
        finally:
            if run.index >= 0:
                self.engine.retire(run.index)
        run.trial = None
        return not run.over

    def _evaluate(self, runs: Sequence[GroupRun]) -> None:
        """Make the missing predictions of these runs in shared passes, and score each cell."""
        from persona_sweeps.running.predicting import Predicting
        from persona_sweeps.training.memory import release_memory

        release_memory()  # training leaves fragments of other sizes than evaluation needs
        failed: Mapping[str, Exception] = {}
        with self.console.evaluating(len(runs)), self.stop.at_once():
            if any(run.cells_to_predict() for run in runs):
                predicting = Predicting(self.base, runs, self.context.data, self.console.note)
                predicting.by_base(lambda: self.engine)
                if not self._in_training:
                    self._close_engine()  # a run that replaces the base's weights shares its engine with nothing else
                predicting.by_runs(self.engine)
                failed = predicting.failed
        for run in runs:
            self._score(run, failed.get(run.cell.run_id))
        self.clock.lap({})  # none of it was training

    def _score(self, run: GroupRun, error: Exception | None) -> None:
        """Score a run's cells, or record why it has no predictions, and release the run."""
        for cell in run.cells:
            try:
                run.lease.check()
                if error is not None:
                    raise error
                with self.stop.at_once():
                    metrics = score(cell)
                self._finish([cell], "completed", metrics)
            except LeaseLost as lost:
                self.console.note(str(lost))
                self.elsewhere.append(cell)
            except Exception as cell_error:
                self._fail_evaluation(cell, cell_error)
        if run.writer is not None:
            run.writer.close()
        run.release()

    def _fail_evaluation(self, cell: Cell, error: Exception) -> None:
        reason = _reason(error)
        try:
            record_failure(cell, error)
        except OSError as second:
            reason += f"; and its record couldn't be written: {second}"
        self._finish([cell], "failed", reason=reason)

    def _finish(
        self, cells: Sequence[Cell], status: str, metrics: Mapping[str, float] | None = None, reason: str = ""
    ) -> None:
        """Report the result of cells to the console and the source."""
        for cell in cells:
            self.console.end(cell, status, metrics or {}, reason)
            self.source.finished(cell, status, metrics or {}, reason)

    def _fail(self, run: GroupRun, error: Exception) -> None:
        """Record a run as failed; its checkpoint stays, unless training itself failed."""
        assert run.writer is not None
        self._write_failure(run.cells, run.writer, error)
        run.release()

    def _write_failure(self, cells: Sequence[Cell], writer: RunWriter, error: Exception) -> None:
        reason = _reason(error)
        try:
            writer.fail(error)
        except LeaseLost as lost:
            self.console.note(str(lost))
            self.elsewhere += cells
            writer.close()
            return
        except OSError as second:
            reason += f"; and its record couldn't be written: {second}"
            writer.close()
        if isinstance(error, TrialError):
            forget(cells[0])
        self._finish(cells, "failed", reason=reason)

    def fail_solo(self, cells: Sequence[Cell], error: Exception) -> None:
        """Record a run, or the evaluations of a trained run, as failed, after the group has released it."""
        try:
            lease = take(cells[0], self.console)
        except OSError as second:
            self._finish(cells, "failed", reason=f"{_reason(error)}; and its record couldn't be written: {second}")
            return
        if lease is None:
            self.elsewhere += cells
        else:
            self._fail_before(cells, lease, error)

    def _fail_before(self, cells: Sequence[Cell], lease: Lease, error: Exception) -> None:
        """Record an error that occurred before there was a trial, or after it."""
        with lease:
            if cells[0].look_again() is not Stage.train:
                for cell in cells:
                    self._fail_evaluation(cell, error)
                return
            try:
                writer = RunWriter(cells[0], lease, after=None)
            except Exception as second:
                self._finish(cells, "failed", reason=f"{_reason(error)}; and its record couldn't be written: {second}")
                return
            self._write_failure(cells, writer, error)

    def _abandon(self) -> None:
        for run in self.runs:
            if run.writer is not None and not run.over:
                run.writer.close()
            run.release()


def _tokens(run: GroupRun) -> int:
    return run.trial.progress.unique_tokens if run.trial is not None else 0


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _report(run: GroupRun, rung: int) -> RungReport:
    assert run.trial is not None
    progress = run.trial.progress
    assert progress.eval_nll is not None and progress.eval_items is not None
    return RungReport(run.cell, rung, progress.eval_nll, progress.eval_items)
