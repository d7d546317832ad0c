"""Which parameters mattered in a study: PED-ANOVA, Optuna's default, on its trials rebuilt in memory."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import json
import math
import random
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..read.studies import Study, StudyTrial
from .spread import Interval

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

MIN_TRIALS = 8
RESAMPLES = 100
MAX_RESAMPLED = 100
"""trials up to which resamples and shuffles take about a second"""
TOP = 0.1
"""share of the trials that count as good: the default of Optuna's evaluator"""


class NoImportance(Exception):
    """A study gives no importances; the message says why."""


@dataclass(frozen=True)
class Importance:
    """The share of a parameter, all shares adding up to one; `spread` is the 5–95 % range of its resamples.

    `chance` is the share that it stays below in 95 % of shuffles of the trials' values, where nothing matters.
    """

    parameter: str
    share: float
    spread: Interval | None
    chance: float | None


def importances(study: Study, trials: Sequence[StudyTrial], seed: int = 0) -> list[Importance]:
    """Return how much each parameter had to do with a trial being among the best tenth, most important first.

    PED-ANOVA (Watanabe et al. 2023, "PED-ANOVA: Efficiently Quantifying Hyperparameter Importance in Arbitrary
    Subspaces") compares how a parameter is distributed among the best trials and among all of them. `trials` are
    completed ones of the study. The spread comes from resamples of them with replacement. It doesn't show how large a
    share noise alone gives: of few trials some parameter always looks important, mostly one with many values. Shuffles
    of the values do: a parameter that alone decides a study of 16 trials beats chance in an eighth of simulations, and
    of 32 in two fifths. Neither is given for more than `MAX_RESAMPLED` trials. Raises NoImportance where Optuna isn't
    installed, or the trials are too few, too alike, or not of the study's space.
    """
    if importlib.util.find_spec("optuna") is None:
        raise NoImportance("optuna isn't installed: `pip install 'persona-sweeps[study]'`")
    if len(trials) < MIN_TRIALS:
        raise NoImportance(f"{len(trials)} completed trials are too few: from {MIN_TRIALS} on it is computed")
    if len({trial.value for trial in trials}) == 1:
        raise NoImportance("all completed trials have the same value")
    with _quiet():
        frozen = _frozen(study, trials)
        found = _evaluate(frozen, study.directions[0])
        drawn, shuffled = [], []
        if len(frozen) <= MAX_RESAMPLED:
            drawn = _resampled(frozen, study.directions[0], seed)
            shuffled = _shuffled(frozen, study.directions[0], seed)
    return [Importance(name, share, _spread(drawn, name), _chance(shuffled, name)) for name, share in found]


def _frozen(study: Study, trials: Sequence[StudyTrial]) -> list[FrozenTrial]:
    """Return the trials as Optuna has them."""
    from optuna.trial import create_trial

    space = {key: _distribution(key, study) for key in study.space}
    frozen = []
    for trial in trials:
        known = {key: trial.params[key] for key in space if key in trial.params}
        try:
            frozen.append(
                create_trial(value=trial.value, params=known, distributions={key: space[key] for key in known})
            )
        except (ValueError, TypeError) as error:
            raise NoImportance(f"trial {trial.number} doesn't fit the study's space: {error}") from error
    return frozen


def _distribution(key: str, study: Study) -> BaseDistribution:
    from optuna.distributions import json_to_distribution

    try:
        return json_to_distribution(json.dumps(study.space[key]))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise NoImportance(f"the distribution of {key} can't be read: {error}") from error


def _evaluate(frozen: Sequence[FrozenTrial], direction: str) -> list[tuple[str, float]]:
    """Return the share of each parameter, largest first."""
    import optuna

    study = optuna.create_study(direction=optuna.study.StudyDirection[direction.upper()])
    study.add_trials(frozen)
    try:
        shares = optuna.importance.get_param_importances(study)
    except Exception as error:  # a distribution that makes no sense raises whatever it meets first
        raise NoImportance(f"Optuna can't compute it: {type(error).__name__}: {error}") from error
    if not shares or not all(math.isfinite(share) for share in shares.values()):
        raise NoImportance("no parameter varied")
    return sorted(shares.items(), key=lambda item: (-item[1], item[0]))


def _resampled(frozen: Sequence[FrozenTrial], direction: str, seed: int) -> list[dict[str, float]]:
    """Return the shares in resamples with replacement, those of equal values left out."""
    generator = random.Random(seed)
    found = []
    for _ in range(RESAMPLES):
        drawn = generator.choices(frozen, k=len(frozen))
        if len({trial.value for trial in drawn}) > 1:
            found.append(dict(_evaluate(drawn, direction)))
    return found


def _shuffled(frozen: Sequence[FrozenTrial], direction: str, seed: int) -> list[dict[str, float]]:
    """Return the shares with the trials' values dealt out anew."""
    generator = random.Random(seed)
    values = [trial.value for trial in frozen]
    found = []
    for _ in range(RESAMPLES):
        generator.shuffle(values)
        dealt = [copy.copy(trial) for trial in frozen]
        for trial, value in zip(dealt, values, strict=True):
            trial.value = value
        found.append(dict(_evaluate(dealt, direction)))
    return found


def _spread(found: Sequence[Mapping[str, float]], name: str) -> Interval | None:
    return Interval(_quantile(found, name, 0.05), _quantile(found, name, 0.95)) if found else None


def _chance(found: Sequence[Mapping[str, float]], name: str) -> float | None:
    return _quantile(found, name, 0.95) if found else None


def _quantile(found: Sequence[Mapping[str, float]], name: str, quantile: float) -> float:
    ordered = sorted(shares.get(name, 0.0) for shares in found)
    return ordered[round(quantile * (len(ordered) - 1))]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's log and warnings, of which a reader of tables can make nothing, from the terminal."""
    import optuna

    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        optuna.logging.set_verbosity(verbosity)
