"""A study as a source of runs: it draws settings, judges runs at rungs, and records their results."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from optuna.trial import FrozenTrial, Trial, TrialState

from persona_sweeps.errors import TrialError, UserError
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.plan import group_key
from persona_sweeps.running.source import RungReport
from persona_sweeps.study import pruners
from persona_sweeps.study.pruners import RungResult
from persona_sweeps.study.settings import StudySettings
from persona_sweeps.study.space import Space
from persona_sweeps.study.storage import REASON, RUN, StudyStorage
from persona_sweeps.study.values import objective_values

Compose = Callable[[Sequence[str]], Cell]
"""makes a cell from overrides; raises UserError for one that can't work"""


class StudySource:
    """Gives a group the runs of a study; a run's result is in the storage before the next run is drawn."""

    is_open = True

    def __init__(
        self, storage: StudyStorage, space: Space, settings: StudySettings, compose: Compose, console: Console
    ) -> None:
        self.storage, self.space, self.settings = storage, space, settings
        self._compose = compose
        self._console = console
        self._trials: dict[str, list[Trial]] = {}
        """run id → the trials that wait for it: a setting that is drawn twice is trained once"""
        self._new: list[Cell] = []
        """cells to train of the trials that were just claimed"""
        self._waiting: list[Cell] = []
        """cells that wait for a group of their base model"""
        self._key: str | None = None

    def new_group(self, room: int) -> Sequence[Cell]:
        """Return at most `room` runs for a new group, of any base model; none at the study's end."""
        self._key = None
        return self.take(room)

    def take(self, room: int) -> Sequence[Cell]:
        """Return at most `room` runs of the group's base model; runs of other base models wait for the next group."""
        cells, self._waiting = self._divide(self._waiting)
        self._waiting = cells[room:] + self._waiting
        cells = cells[:room]
        while len(cells) < room and not self.has_failed_enough:
            # Cells are composed under the claim lock, so that every process knows which runs are being trained.
            claimed = self.storage.claim(
                room - len(cells), self.settings.n_trials, self.settings.max_tokens, self._begin
            )
            if not claimed:
                break
            new, others = self._divide(self._new)
            self._new = []
            cells += new
            self._waiting += others
        return cells

    @property
    def has_failed_enough(self) -> bool:
        """Whether the study's limit of failed trials is reached."""
        limit = self.settings.max_failures
        return limit is not None and sum(t.state is TrialState.FAIL for t in self.storage.trials()) >= limit

    def rungs(self, cell: Cell, examples: int) -> Sequence[int]:
        return pruners.rungs(self.settings, examples, self._trials[cell.run_id][0].number)

    def judge(self, reports: Sequence[RungReport]) -> Mapping[str, str]:
        numbers: dict[int, dict[int, str]] = {}
        for report in reports:
            trial = self._trials[report.cell.run_id][0]
            self.storage.report(trial, report.examples, report.nll, report.item_nll)
            numbers.setdefault(report.examples, {})[trial.number] = report.cell.run_id
        verdicts: dict[str, str] = {}
        for rung, runs in numbers.items():
            results = [_result_at(trial, rung) for trial in self.storage.trials() if rung in trial.intermediate_values]
            for number, reason in pruners.judge(self.settings, results, list(runs)).items():
                verdicts[runs[number]] = f"after {rung} examples {reason}"
        return verdicts

    def finished(self, cell: Cell, status: str, metrics: Mapping[str, float], reason: str) -> None:
        for trial in self._trials.pop(cell.run_id, []):
            self._record(trial, cell, status, reason)

    def _begin(self, trial: Trial) -> None:
        """Compose a trial's run; record its result if that is known already, and else queue the run for training."""
        try:
            cell = self._compose(self.space.suggest(trial))
        except UserError as error:
            self.storage.tell(trial.number, TrialState.FAIL, reason=str(error))
            self._console.note(f"Trial {trial.number} can't work: {error}")
            return
        cell.study = {"study": self.storage.study.study_name, "trial": trial.number}
        twin = self._twin(trial, cell)
        self.storage.begun(trial, cell)
        if cell.done or self._was_pruned(cell):
            self._record(trial, cell, "completed" if cell.done else "pruned", "")
        elif twin is not None:
            self._copy_result(trial, twin)
        elif cell.run_id in self._trials:
            self._trials[cell.run_id].append(trial)
        else:
            self._trials[cell.run_id] = [trial]
            self._new.append(cell)

    def _twin(self, trial: Trial, cell: Cell) -> FrozenTrial | None:
        """Return an earlier trial of the study with the same run that was pruned or failed; it would be so again."""
        for other in self.storage.trials():
            same = other.number != trial.number and other.user_attrs.get(RUN) == cell.run_id
            if same and other.state in (TrialState.PRUNED, TrialState.FAIL):
                return other
        return None

    def _was_pruned(self, cell: Cell) -> bool:
        """Return whether this trial was pruned and its process died before it recorded that."""
        run = cell.outcome.run
        return run.get("status") == "pruned" and run["provenance"].get("study") == cell.study

    def _copy_result(self, trial: Trial, twin: FrozenTrial) -> None:
        reason = f"the same run as trial {twin.number}: {twin.user_attrs.get(REASON, '')}"
        for rung, value in twin.intermediate_values.items():
            trial.report(value, rung)
        self.storage.tell(trial.number, twin.state, reason=reason)

    def _record(self, trial: Trial, cell: Cell, status: str, reason: str) -> None:
        """Record a run's result in the storage, as its record has it, with the tokens of its training."""
        outcome = cell.outcome
        training = outcome.run.get("training") or {}
        # Count the tokens even if another study trained the run; a setting drawn twice counts for its first trial.
        drawn_before = any(t.user_attrs.get(RUN) == cell.run_id for t in self.storage.trials()[: trial.number])
        tokens = None if drawn_before else training.get("tokens")
        if status == "pruned":
            why = reason or training.get("pruned", "")
            self.storage.tell(trial.number, TrialState.PRUNED, reason=why, tokens=tokens)
            return
        if status != "completed":
            self.storage.tell(trial.number, TrialState.FAIL, reason=reason, tokens=tokens)
            return
        try:
            values = objective_values(outcome, self.settings.metric)
        except TrialError as error:
            self.storage.tell(trial.number, TrialState.FAIL, reason=str(error), tokens=tokens)
            self._console.note(str(error))
            return
        self.storage.tell(trial.number, TrialState.COMPLETE, values, tokens=tokens)

    def _divide(self, cells: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
        """Divide cells into those that the group can train and the others; a new group takes the first cell's key."""
        matching: list[Cell] = []
        others: list[Cell] = []
        for cell in cells:
            if self._key is None:
                self._key = group_key(cell)
            (matching if group_key(cell) == self._key else others).append(cell)
        return matching, others


def _result_at(trial: FrozenTrial, rung: int) -> RungResult:
    items = trial.user_attrs.get(f"items_{rung}", [])
    return RungResult(trial.number, trial.intermediate_values[rung], np.asarray(items, dtype=np.float64))
