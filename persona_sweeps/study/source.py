"""A study as a source of runs: it asks for settings, judges runs at rungs, and is told how each ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from optuna.trial import FrozenTrial, Trial, TrialState

from persona_sweeps.errors import TrialError, UserError
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.plan import group_key
from persona_sweeps.running.source import Report
from persona_sweeps.study import pruners
from persona_sweeps.study.pruners import RungResult
from persona_sweeps.study.settings import StudySettings
from persona_sweeps.study.space import Space
from persona_sweeps.study.storage import REASON, RUN, StudyStorage
from persona_sweeps.study.values import objective_values

Compose = Callable[[Sequence[str]], Cell]
"""makes a cell of overrides; raises UserError for one that can't work"""


class StudySource:
    """Feeds a group of runs from a study; what is known of a run is in the storage before the next is asked for."""

    is_open = True

    def __init__(
        self, storage: StudyStorage, space: Space, settings: StudySettings, compose: Compose, console: Console
    ) -> None:
        self.storage, self.space, self.settings = storage, space, settings
        self._compose = compose
        self._console = console
        self._trials: dict[str, list[Trial]] = {}
        """the trials that wait for a run, by its id: drawn twice, a setting is trained once"""
        self._new: list[Cell] = []
        self._held: list[Cell] = []
        self._key: str | None = None

    def new_group(self, room: int) -> Sequence[Cell]:
        """Return at most so many runs for a new group, of whichever base model comes next; none at the study's end."""
        self._key = None
        return self.take(room)

    def take(self, room: int) -> Sequence[Cell]:
        """Return at most so many runs of the group's base model; those of another wait for the next group."""
        given, self._held = self._of_the_group(self._held)
        self._held = given[room:] + self._held
        given = given[:room]
        while len(given) < room and not self.has_failed_enough:
            # Composed while no other process asks, so that both know which runs are being trained.
            claimed = self.storage.claim(
                room - len(given), self.settings.n_trials, self.settings.max_tokens, self._begin
            )
            if not claimed:
                break
            own, others = self._of_the_group(self._new)
            self._new = []
            given += own
            self._held += others
        return given

    @property
    def has_failed_enough(self) -> bool:
        """Whether as many trials have failed as the study may have."""
        limit = self.settings.max_failures
        return limit is not None and sum(t.state is TrialState.FAIL for t in self.storage.trials()) >= limit

    def rungs(self, cell: Cell, examples: int) -> Sequence[int]:
        return pruners.rungs(self.settings, examples, self._trials[cell.run_id][0].number)

    def judge(self, reports: Sequence[Report]) -> Mapping[str, str]:
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

    def ended(self, cell: Cell, status: str, metrics: Mapping[str, float], reason: str) -> None:
        for trial in self._trials.pop(cell.run_id, []):
            self._tell(trial, cell, status, reason)

    def _begin(self, trial: Trial) -> None:
        """Compose a trial's run; one that is known already is told, and any other is to be trained."""
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
            self._tell(trial, cell, "completed" if cell.done else "pruned", "")
        elif twin is not None:
            self._tell_as(trial, twin)
        elif cell.run_id in self._trials:
            self._trials[cell.run_id].append(trial)
        else:
            self._trials[cell.run_id] = [trial]
            self._new.append(cell)

    def _twin(self, trial: Trial, cell: Cell) -> FrozenTrial | None:
        """Return an earlier trial of the study that had this run and was pruned or failed: it would be again."""
        for other in self.storage.trials():
            same = other.number != trial.number and other.user_attrs.get(RUN) == cell.run_id
            if same and other.state in (TrialState.PRUNED, TrialState.FAIL):
                return other
        return None

    def _was_pruned(self, cell: Cell) -> bool:
        """Whether this very trial was pruned, and its process died before it could tell."""
        run = cell.outcome.run
        return run.get("status") == "pruned" and run["provenance"].get("study") == cell.study

    def _tell_as(self, trial: Trial, twin: FrozenTrial) -> None:
        reason = f"the same run as trial {twin.number}: {twin.user_attrs.get(REASON, '')}"
        for rung, value in twin.intermediate_values.items():
            trial.report(value, rung)
        self.storage.tell(trial.number, twin.state, reason=reason)

    def _tell(self, trial: Trial, cell: Cell, status: str, reason: str) -> None:
        """Tell the storage how a run ended, going by its record, and what training it cost."""
        outcome = cell.outcome
        training = outcome.run.get("training") or {}
        # As if this study had trained it, whoever did; a setting drawn twice is paid for by the first that drew it.
        drawn_before = any(t.user_attrs.get(RUN) == cell.run_id for t in self.storage.trials()[: trial.number])
        tokens = None if drawn_before else training.get("tokens")
        if status == "pruned":
            told = reason or training.get("pruned", "")
            self.storage.tell(trial.number, TrialState.PRUNED, reason=told, tokens=tokens)
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

    def _of_the_group(self, cells: Sequence[Cell]) -> tuple[list[Cell], list[Cell]]:
        """Divide runs into those that the group can train and the others; the first decides for a new group."""
        own: list[Cell] = []
        others: list[Cell] = []
        for cell in cells:
            if self._key is None:
                self._key = group_key(cell)
            (own if group_key(cell) == self._key else others).append(cell)
        return own, others


def _result_at(trial: FrozenTrial, rung: int) -> RungResult:
    items = trial.user_attrs.get(f"items_{rung}", [])
    return RungResult(trial.number, trial.intermediate_values[rung], np.asarray(items, dtype=np.float64))
