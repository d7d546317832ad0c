"""Optuna's samplers, seeded so that a study that was killed goes on as if it had not been."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution
from optuna.exceptions import ExperimentalWarning
from optuna.samplers import (
    BaseSampler,
    CmaEsSampler,
    GPSampler,
    GridSampler,
    NSGAIISampler,
    QMCSampler,
    RandomSampler,
    TPESampler,
)
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from persona_sweeps.seeds import derive_seed
from persona_sweeps.study.settings import StudySettings
from persona_sweeps.study.space import Space

Make = Callable[[int], BaseSampler]


class SeededPerTrial(BaseSampler):
    """A sampler without a state of its own: made anew for each draw, from the study's seed and what is drawn.

    A sampler's generator is lost when its process dies. Seeded by the trial's number and the parameter, the next trial
    is a function of the study's trials alone: the same after a kill, and in whichever process asks.
    """

    def __init__(self, make: Make, seed: int) -> None:
        self._make, self._seed = make, seed

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self._of(trial, "").infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._of(trial, "").sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        return self._of(trial, param_name).sample_independent(study, trial, param_name, param_distribution)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        self._of(trial, "").before_trial(study, trial)

    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        self._of(trial, "").after_trial(study, trial, state, values)

    def _of(self, trial: FrozenTrial, purpose: str) -> BaseSampler:
        return self._make(derive_seed(self._seed, "sampler", trial.number, purpose) % 2**32)


class _Grid(GridSampler):
    def after_trial(self, study: Study, trial: FrozenTrial, state: TrialState, values: Any) -> None:
        """Not end the study with the grid, which Optuna can do within its own loop alone: `trials_in` is the end."""


def trials_in(settings: StudySettings, space: Space) -> int:
    """Return how many trials the study is to have: as asked, but a grid's no more than it has points."""
    if settings.sampler != "grid":
        return settings.n_trials
    return min(settings.n_trials, math.prod(len(values) for values in space.grid().values()))


def _tpe(seed: int) -> BaseSampler:
    # Trials in training count as if they were bad, so that those beside them look elsewhere.
    return TPESampler(seed=seed, multivariate=True, constant_liar=True)


SAMPLERS: dict[str, Make] = {
    "tpe": _tpe,
    "gp": lambda seed: GPSampler(seed=seed),
    "cmaes": lambda seed: CmaEsSampler(seed=seed),
    "random": lambda seed: RandomSampler(seed=seed),
    "nsga2": lambda seed: NSGAIISampler(seed=seed),
}
"""hydra.sweeper.sampler → how it is made from a seed; grid and qmc, which count their points, are below"""


def make_sampler(settings: StudySettings, space: Space) -> BaseSampler:
    """Return the sampler of a study. Raises ConfigError where the space doesn't suit it."""
    if settings.sampler == "grid":
        grid: Mapping[str, list[Any]] = space.grid()
        # Its seed decides which point has which number, so it must be the same for all trials.
        return SeededPerTrial(lambda seed: _Grid(grid, seed=settings.seed), settings.seed)
    if settings.sampler == "qmc":
        with warnings.catch_warnings():  # "experimental", as Optuna has said of it for years
            warnings.simplefilter("ignore", ExperimentalWarning)
            return QMCSampler(seed=settings.seed, scramble=True)
    return SeededPerTrial(SAMPLERS[settings.sampler], settings.seed)
