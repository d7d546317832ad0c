"""The end of a study: train its best settings again with several seeds, and score them on the test part once.

The validation value by which a setting was chosen is optimistic, because of the choice itself. So these runs have other
seeds, train on everything outside the test part, and are evaluated on the test part at their last step only.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState

from persona_sweeps.errors import UserError
from persona_sweeps.execution.in_process import carry_out
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.console import Console, headlines
from persona_sweeps.planning.fit import predict_runnable
from persona_sweeps.planning.plan import make_plan
from persona_sweeps.running.context import Context
from persona_sweeps.study.front import distinct, front_of, spread_out
from persona_sweeps.study.settings import StudySettings
from persona_sweeps.study.space import Space
from persona_sweeps.study.storage import FINALS, StudyStorage
from persona_sweeps.wording import pluralize

Compose = Callable[[Sequence[str]], Cell]


def finalists(storage: StudyStorage, settings: StudySettings) -> list[FrozenTrial]:
    """Return the trials whose settings are trained again: the best by value; of several metrics, those of the front.

    Of a front with more settings than `finalists`, they are those that cover it best.
    """
    if len(settings.metric) > 1:
        return spread_out(front_of(storage, settings), settings.finalists)
    completed = [trial for trial in storage.trials() if trial.state is TrialState.COMPLETE]
    sign = 1 if settings.direction[0] == "minimize" else -1
    return distinct(sorted(completed, key=lambda trial: (sign * trial.values[0], trial.number)))[: settings.finalists]


class Finals:
    """The final runs of one study: `final_seeds` runs of each finalist, with the seeds after the search's seed."""

    def __init__(
        self,
        storage: StudyStorage,
        space: Space,
        settings: StudySettings,
        seed: int,
        compose: Compose,
        console: Console,
    ) -> None:
        self._storage, self._space, self._settings = storage, space, settings
        self._seed, self._compose, self._console = seed, compose, console

    def run(self, context: Context) -> None:
        """Train the missing final runs, and report their scores.

        Do nothing while another process trains them, or while trials are in training elsewhere: the process that
        finishes last trains the finalists. Raises UserError if one of these runs failed.
        """
        if any(trial.state is TrialState.RUNNING for trial in self._storage.trials()):
            self._console.note("Trials are still in training in another process, which will train the finalists.")
            return
        lock = FileLock(self._storage.journal.with_name(f".{self._storage.journal.name}.finals"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            self._console.note("Another process is training the finalists.")
            return
        try:
            self._train(context)
        finally:
            lock.release()

    def _train(self, context: Context) -> None:
        cells = self._cells()
        self._storage.study.set_user_attr(FINALS, list(_rows(cells)))
        plan = make_plan([cell for several in cells.values() for cell in several])
        settings, seeds = pluralize(len(cells), "setting"), pluralize(self._settings.final_seeds, "seed")
        of = f" of the front's {len(front_of(self._storage, self._settings))}" if len(self._settings.metric) > 1 else ""
        self._console.note(
            f"Finals: {settings}{of} with {seeds} each, scored on test; {pluralize(len(plan.to_do), 'run')} to train."
        )
        if plan.groups:
            predict_runnable(plan, self._console)
            carry_out(plan, context)
        self.report(cells)

    def report(self, cells: Mapping[int, Sequence[Cell]] | None = None) -> None:
        """Report the scores of the final runs. Raises UserError if one of them failed."""
        cells = self._cells() if cells is None else cells
        for number, runs in cells.items():
            self._console.note(f"Trial {number} on test, {_scores(runs)}")
            for cell in runs:
                self._console.note(f"  {cell.folder.path}")
        _require_completed([cell for runs in cells.values() for cell in runs])

    def _cells(self) -> dict[int, list[Cell]]:
        """Return the runs of each finalist, by the number of its trial."""
        seeds = range(self._seed + 1, self._seed + 1 + self._settings.final_seeds)
        cells: dict[int, list[Cell]] = {}
        for trial in finalists(self._storage, self._settings):
            drawn = [dimension.override(trial.params[dimension.key]) for dimension in self._space]
            cells[trial.number] = [self._compose([*drawn, "dataset.evaluate_on=test", f"seed={s}"]) for s in seeds]
            for cell in cells[trial.number]:
                cell.study = {"study": self._storage.study.study_name, "trial": trial.number, "final": True}
        return cells


def _require_completed(runs: Sequence[Cell]) -> None:
    failed = [cell for cell in runs if cell.outcome.status != "completed"]
    if failed:
        reason = failed[0].outcome.reason or "it left no record"
        raise UserError(f"{len(failed)} of {len(runs)} final runs failed; {failed[0].name}: {reason}")


def _rows(cells: Mapping[int, Sequence[Cell]]) -> Iterator[Mapping[str, Any]]:
    """Yield the row of each final run for sweep.json, without its state."""
    for number, several in cells.items():
        for cell in several:
            yield {
                "overrides": list(cell.overrides),
                "run_id": cell.run_id,
                "evaluation_id": cell.evaluation_id,
                "folder": str(cell.folder.path.relative_to(cell.config.output_dir)),
                "trial": number,
                "seed": cell.config.seed,
            }


def _scores(runs: Sequence[Cell]) -> str:
    """Return the scores of one setting's runs as text: mean ± sample standard deviation over seeds."""
    outcomes = [outcome for cell in runs if (outcome := cell.outcome).status == "completed"]
    parts = []
    for metric, description in headlines([outcome.descriptions for outcome in outcomes]).items():
        if values := [o.metrics[metric] for o in outcomes if o.metrics.get(metric) is not None]:
            spread = f" ± {statistics.stdev(values):.2g}" if len(values) > 1 else ""
            parts.append(f"{description['label']} {statistics.fmean(values):.4g}{spread}")
    return f"{pluralize(len(outcomes), 'seed')}: {', '.join(parts) or 'nothing was completed'}"
