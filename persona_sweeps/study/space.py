"""Search spaces: convert Hydra's override syntax to Optuna's distributions, and drawn values back to overrides."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.trial import Trial

from persona_sweeps.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Dimension:
    """A key that varies, and the distribution of its values."""

    key: str
    distribution: BaseDistribution

    def suggest(self, trial: Trial) -> Any:
        """Return the trial's value of the key; draw it if it hasn't been drawn yet."""
        values = self.distribution
        if isinstance(values, CategoricalDistribution):
            return trial.suggest_categorical(self.key, values.choices)
        if isinstance(values, IntDistribution):
            return trial.suggest_int(self.key, values.low, values.high, step=values.step, log=values.log)
        assert isinstance(values, FloatDistribution)
        return trial.suggest_float(self.key, values.low, values.high, step=values.step, log=values.log)

    def describe(self) -> str:
        """Return the distribution as text, such as IntDistribution(high=8, log=False, low=1, step=1)."""
        return str(self.distribution)

    def bounds(self) -> tuple[Any, Any]:
        """Return the least and the greatest value; for a choice, the first and the last."""
        values = self.distribution
        if isinstance(values, CategoricalDistribution):
            return values.choices[0], values.choices[-1]
        assert isinstance(values, IntDistribution | FloatDistribution)
        return values.low, values.high

    def override(self, value: Any) -> str:
        """Return the override that sets the key to a value, such as peft.r=8."""
        return f"{self.key}={f'{value:.6g}' if isinstance(value, float) else value}"


class Space:
    """The dimensions of a study; every trial has all of them."""

    def __init__(self, dimensions: Sequence[Dimension]) -> None:
        self.dimensions = tuple(dimensions)

    def suggest(self, trial: Trial) -> list[str]:
        """Return the overrides of a trial; draw the values that haven't been drawn yet."""
        return [dimension.override(dimension.suggest(trial)) for dimension in self]

    def __iter__(self) -> Iterator[Dimension]:
        return iter(self.dimensions)

    def __len__(self) -> int:
        return len(self.dimensions)

    def describe(self) -> dict[str, str]:
        """Return the distribution of each key as text."""
        return {dimension.key: dimension.describe() for dimension in self}

    def ends(self) -> list[list[Any]]:
        """Return the values at the two ends of the space: the least of every dimension, and the greatest."""
        return [[dimension.bounds()[end] for dimension in self] for end in (0, 1)]

    def grid(self) -> dict[str, list[Any]]:
        """Return all values of every dimension. Raises ConfigError for a dimension that can't be listed."""
        values: dict[str, list[Any]] = {}
        for dimension in self:
            distribution = dimension.distribution
            if isinstance(distribution, CategoricalDistribution):
                values[dimension.key] = list(distribution.choices)
            elif isinstance(distribution, IntDistribution) and not distribution.log:
                values[dimension.key] = list(range(distribution.low, distribution.high + 1, distribution.step))
            else:
                raise ConfigError(
                    f"hydra.sweeper.sampler=grid needs lists, and {dimension.key} is an interval: write it as "
                    f"{dimension.key}=choice(…)."
                )
        return values


def is_dimension(override: Override) -> bool:
    """Return whether an override is a search space: choice(…), range(…) and interval(…) are, a plain list a,b isn't."""
    value = override.value()
    return override.is_sweep_override() and not (isinstance(value, ChoiceSweep) and value.simple_form)


def parse(space: Mapping[str, str]) -> list[Dimension]:
    """Return the dimensions of a space that maps keys to texts. Raises ConfigError for a text that can't be read."""
    parser = OverridesParser.create()
    dimensions = []
    for key, text in space.items():
        try:
            dimensions.append(dimension(parser.parse_override(f"{key}={text}")))
        except HydraException as error:
            first = str(error).strip().splitlines()[0]
            raise ConfigError(f"hydra.sweeper.space: {key}={text} can't be read: {first}") from error
    return dimensions


def dimension(override: Override) -> Dimension:
    """Return the dimension that an override describes. Raises ConfigError if it is no choice, range or interval."""
    value = override.value()
    for kind, convert in DISTRIBUTIONS.items():
        if isinstance(value, kind):
            try:
                return Dimension(override.get_key_element(), convert(override, value))
            except ValueError as error:
                raise ConfigError(f"{override.input_line}: {error}") from error
    raise ConfigError(
        f"{override.input_line} is no search space: write choice(4,8,16), range(4,33,4), interval(0.1,0.9), or "
        "tag(log,interval(1e-5,1e-3))."
    )


def _choice(override: Override, value: ChoiceSweep) -> BaseDistribution:
    """Return a choice among numbers, or among texts; anything else is represented by its text."""
    texts = list(override.sweep_string_iterator())
    plain = all(isinstance(element, int | float) for element in value.list)
    return CategoricalDistribution([*value.list] if plain else texts)  # type: ignore[list-item]


def _range(override: Override, value: RangeSweep) -> BaseDistribution:
    assert value.start is not None and value.stop is not None
    if isinstance(value.start, int) and isinstance(value.step, int):
        values = list(value.range())
        return IntDistribution(value.start, int(values[-1]), step=value.step)
    return FloatDistribution(float(value.start), float(value.stop), step=float(value.step))


def _interval(override: Override, value: IntervalSweep) -> BaseDistribution:
    assert value.start is not None and value.end is not None
    log = "log" in value.tags
    if isinstance(value.start, int) and isinstance(value.end, int):
        return IntDistribution(value.start, value.end, log=log)
    return FloatDistribution(float(value.start), float(value.end), log=log)


DISTRIBUTIONS: dict[type, Callable[[Override, Any], BaseDistribution]] = {
    ChoiceSweep: _choice,
    RangeSweep: _range,
    IntervalSweep: _interval,
}
"""Hydra's type of a sweep → a function that makes Optuna's distribution"""
