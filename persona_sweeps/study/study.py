"""One study: its space, its trials in the journal, and their runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from optuna.trial import TrialState

from persona_sweeps.config.kinds import PEFT
from persona_sweeps.config.predictor import Predictor
from persona_sweeps.config.schema import PlanMode
from persona_sweeps.errors import ConfigError, UserError
from persona_sweeps.execution.hydra_jobs import compose_cell
from persona_sweeps.execution.in_process import wait_for_others
from persona_sweeps.execution.quiet import quiet_libraries
from persona_sweeps.execution.status import Watched, show
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.compose import Composer
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.fit import predict_and_fit, predict_runnable
from persona_sweeps.planning.obstacles import Obstacle
from persona_sweeps.planning.plan import make_plan
from persona_sweeps.planning.preflight import Predictions
from persona_sweeps.planning.review import blocked, print_table, refusal
from persona_sweeps.records.evaluation import outcome
from persona_sweeps.records.files import read_json
from persona_sweeps.records.folders import RunFolder, SweepFolder
from persona_sweeps.running.context import Context
from persona_sweeps.running.run_group import run_group
from persona_sweeps.study.finals import Finals
from persona_sweeps.study.objectives import objectives_in_words, with_objectives
from persona_sweeps.study.samplers import make_sampler, trials_in
from persona_sweeps.study.settings import StudySettings
from persona_sweeps.study.source import StudySource
from persona_sweeps.study.space import Dimension, Space, parse
from persona_sweeps.study.storage import FINALS, StudyStorage
from persona_sweeps.study.summary import conclude, write_studies
from persona_sweeps.study.terms import terms
from persona_sweeps.study.warm_start import known_settings


class OneStudy:
    """The study of a command for one combination of its lists' values."""

    def __init__(
        self,
        settings: StudySettings,
        composer: Composer,
        fixed: Sequence[str],
        combination: Sequence[str],
        varied: Sequence[Dimension],
    ) -> None:
        """Compose the study; `fixed` are the command's plain overrides, `combination` has a value of each list."""
        self.settings = settings
        self._fixed = [*fixed, *combination]
        self._named = {text.split("=", 1)[0].lstrip("+~") for text in self._fixed} | {dim.key for dim in varied}
        self._composer = composer
        try:
            composed, _ = self._composer.job(self._fixed, 0)
        except (HydraException, OmegaConfBaseException) as error:
            raise _explained(error) from error
        self._predictor = _predictor(composed)
        self._method = self._predictor.method
        self._sweep = str(composed.sweep.name)
        self.group_size = int(composed.group_size)
        """most trials that train together"""
        self._only_plan = composed.plan == PlanMode.only
        self._only_status = composed.status == PlanMode.only
        self._seed = int(composed.seed)
        self._output_dir = Path(str(composed.output_dir))
        self.files = SweepFolder.of(self._output_dir, self._sweep)
        self._journal = self.files.journal
        if "dataset.evaluate_on" in self._named and composed.dataset.evaluate_on == "test" and settings.final_seeds:
            raise ConfigError(
                "dataset.evaluate_on=test searches on the test part, where the winner can't be scored afterwards: drop "
                "it, so that the search is on a validation part, or set hydra.sweeper.final_seeds=0."
            )
        self.name = " ".join(combination) or self._sweep
        self.space = self._space(varied)
        self.console = Console()

    def check(self, obstacles: Sequence[Obstacle]) -> None:
        """Check a run at each end of the space. Raises UserError if one can't work.

        `obstacles` are reasons why jobs can't start. With plan=only they are added to the plan's cells.
        """
        make_sampler(self.settings, self.space)
        self.settings = replace(self.settings, n_trials=trials_in(self.settings, self.space))
        ends = [[dim.override(value) for dim, value in zip(self.space, end, strict=True)] for end in self.space.ends()]
        cells = [self._compose(overrides) for overrides in ends]
        self.least = cells[0]
        """a run at one end of the space"""
        self.settings = with_objectives(self.settings, self.least)
        if self.settings.warm_start is not None:
            self._warm_settings, self._skipped = known_settings(self._output_dir, self.settings, self.space)
        self._ends = make_plan(cells)
        self.predictions: Predictions = {}
        if not self._ends.groups or self._only_status:
            return
        quiet_libraries()
        if self._only_plan:
            self.predictions = predict_and_fit(self._ends, self.console)
            for cell in self._ends.to_do:
                cell.obstacles = (*cell.obstacles, *obstacles)
            return
        if obstacles:
            raise UserError(" ".join(obstacle.sentence for obstacle in obstacles))
        self.predictions = predict_runnable(self._ends, self.console)

    def run(self, context: Context) -> None:
        """Train runs until the study has all its trials, and report the result."""
        varied = self.space.describe()
        storage = self._storage()
        try:
            storage.agree(terms(self.settings, varied, self.least))
            storage.study.set_user_attr(
                "budget", {"n_trials": self.settings.n_trials, "max_tokens": self.settings.max_tokens}
            )
            if self.settings.warm_start is not None and storage.warm_start(
                self.settings.warm_start, self._warm_settings
            ):
                others = f"; {self._skipped} others lie outside the space" if self._skipped else ""
                best = f"The {len(self._warm_settings)} best settings of sweep {self.settings.warm_start}"
                self.console.note(f"{best} are tried first{others}.")
            try:
                self._train(StudySource(storage, self.space, self.settings, self._compose, self.console), context)
                conclude(storage, self.space, self.settings, self.console)
                if self.settings.final_seeds:
                    self._finals(storage).run(context)
            finally:
                path = write_studies(self._journal, self._sweep, self._output_dir)
            self.console.note(f"  {path}")
        finally:
            storage.close()

    def conclude(self) -> None:
        """Report the result after jobs have carried out the study. Raises UserError if no trial was completed."""
        storage = self._storage()
        try:
            path = write_studies(self._journal, self._sweep, self._output_dir)
            conclude(storage, self.space, self.settings, self.console)
            if self.settings.final_seeds:
                self._finals(storage).report()
            self.console.note(f"  {path}")
        finally:
            storage.close()

    def _finals(self, storage: StudyStorage) -> Finals:
        return Finals(storage, self.space, self.settings, self._seed, self._compose_final, self.console)

    @property
    def only_reports(self) -> bool:
        """Whether the command trains nothing."""
        return self._only_plan or self._only_status

    def report(self) -> None:
        """Print the study's plan (plan=only), or the state of its runs (status=only).

        Raises UserError after the plan if its runs can't run on this machine.
        """
        if self._only_status:
            self._show_status()
            return
        self.console.note(f"Study {self.name}: {self.settings.n_trials} trials of peft={self._method}{self._goals()}.")
        for key, values in self.space.describe().items():
            self.console.note(f"  {key}: {values}")
        self.console.note("A run at each end of this space:")
        print_table(self._ends, self.predictions, self.console)
        if unable := blocked(self._ends.cells):
            raise refusal([], len(self._ends.cells), len(unable))

    def is_over(self) -> bool:
        """Return whether all trials are drawn and finished, and the finals are done."""
        if not self._journal.is_file():
            return False
        storage = self._storage()
        try:
            source = StudySource(storage, self.space, self.settings, self._compose, self.console)
            all_drawn = storage.has_all(self.settings.n_trials, self.settings.max_tokens) or source.has_failed_enough
            running = any(trial.state is TrialState.RUNNING for trial in storage.trials())
            if running or not all_drawn:
                return False
            finals = storage.study.user_attrs.get(FINALS)
            none_due = not self.settings.final_seeds or not any(
                t.state is TrialState.COMPLETE for t in storage.trials()
            )
            return none_due or (finals is not None and all(self._is_finished(row) for row in finals))
        finally:
            storage.close()

    def _is_finished(self, row: Mapping[str, Any]) -> bool:
        return outcome(RunFolder(self._output_dir / row["folder"]), row["evaluation_id"]).is_finished

    def _storage(self) -> StudyStorage:
        sampler = make_sampler(self.settings, self.space)
        return StudyStorage(self._journal, self.name, self.settings.direction, sampler)

    def _show_status(self) -> None:
        """Show the state of the study's runs, including its finals, as sweep.json and the journal list them."""
        if not self._journal.is_file():
            self.console.note(f"Study {self.name} hasn't begun: there is no {self._journal}.")
            return
        write_studies(self._journal, self._sweep, self._output_dir)
        listed = read_json(self.files.record) or {"cells": []}
        runs = {
            row["folder"]: Watched(
                Path(row["folder"]).name, RunFolder(self._output_dir / row["folder"]), row["evaluation_id"]
            )
            for row in listed["cells"]
            if row["study"] == self.name
        }
        show(list(runs.values()), f"Study {self.name}", self.console.terminal)

    def _train(self, source: StudySource, context: Context) -> None:
        done = sum(trial.state.is_finished() for trial in source.storage.trials())
        varied = ", ".join(self.space.describe())
        of = f"{done} of {self.settings.n_trials} trials done already"
        self.console.note(f"Study {self.name}: {of}; searching over {varied}{self._goals()}.")
        elsewhere: list[Cell] = []
        while cells := source.new_group(self.group_size):
            elsewhere += run_group(cells, context, source, self.group_size)
        wait_for_others(elsewhere, context, source)

    def _goals(self) -> str:
        """Return what is searched for where that is several things."""
        if len(self.settings.metric) == 1:
            return ""
        return f" for {objectives_in_words(self.settings)}; no run is stopped early, since none is clearly worse"

    def _compose(self, drawn: Sequence[str]) -> Cell:
        """Return a trial's cell, evaluated on the validation part unless the command sets another one."""
        part = [] if "dataset.evaluate_on" in self._named else ["dataset.evaluate_on=validation"]
        return self._cell([*self._fixed, *part, *drawn])

    def _compose_final(self, drawn: Sequence[str]) -> Cell:
        """Return the cell of a finalist, evaluated only at its end unless the command sets train.eval_every."""
        once = [] if "train.eval_every" in self._named else ["train.eval_every=0"]
        kept = [text for text in self._fixed if text.split("=", 1)[0] not in ("seed", "dataset.evaluate_on")]
        return self._cell([*kept, *once, *drawn])

    def _cell(self, overrides: Sequence[str]) -> Cell:
        try:
            return compose_cell(self._composer, overrides)
        except (HydraException, OmegaConfBaseException) as error:
            raise _explained(error) from error

    def _space(self, varied: Sequence[Dimension]) -> Space:
        """Return the command's dimensions, and those of the method that the command doesn't set."""
        if not self._predictor.has_model:
            raise ConfigError(
                f"peft={self._method} trains nothing that a study could search over: run it without "
                "hydra/sweeper=optuna, beside the study's runs."
            )
        named = set(self._named)
        if "peft.alpha" in named:
            named.add("peft.alpha_ratio")
        space = self.settings.space.get(self._method) or self._predictor.search_space
        defaults = parse({key: text for key, text in space.items() if key not in named})
        if not defaults and not varied:
            raise ConfigError(
                f"peft={self._method} has nothing to search over: name what varies, as in "
                "train.learning_rate=tag(log,interval(1e-4,1e-2)), or choose a method that trains."
            )
        return Space([*defaults, *varied])


def _predictor(composed: DictConfig) -> Predictor:
    """Return the predictor of a composed config."""
    values = OmegaConf.to_container(composed.peft, resolve=True)
    assert isinstance(values, dict)
    return PEFT.make(str(composed.peft.method), values)  # type: ignore[arg-type]


def _explained(error: Exception) -> UserError:
    from persona_sweeps.config.folder import conf_folder
    from persona_sweeps.config.mistakes import explain

    return UserError(explain(error, conf_folder()) or str(error))
