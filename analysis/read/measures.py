"""What tables know of a number: of a metric what its description in the record says, and nothing by its name."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .results import RunResult

METRICS = "metrics."
"""how the dotted paths of metrics begin"""
_MATRIX = ("speaker", "gain", "nll")
_FORMAT = re.compile(r",?(\.\d)?[defg%]")


@dataclass(frozen=True)
class NumberFormat:
    """Writes numbers by a Python format; one with decimals gives way to three digits where a number is very large."""

    spec: str = ".4g"

    def __call__(self, value: float) -> str:
        has_decimals = "." in self.spec and self.spec.endswith("f") and not self.spec.endswith(".0f")
        return format(value, ".3g" if has_decimals and abs(value) >= 10_000 else self.spec)


@dataclass(frozen=True)
class Measure:
    """A number of a result. `name` is its dotted path (`metrics.bleu`, `training.tokens`).

    `higher_is_better` is None where the record doesn't say. `low` and `high` are the ends of what it can be. A value
    `per_token` depends on the tokenizer; one on a `log_scale` is compared by ratios. `aggregate` says how it follows
    from items. Tables show those with a `headline`, larger ones first.
    """

    name: str
    label: str
    form: NumberFormat = field(default_factory=NumberFormat)
    higher_is_better: bool | None = None
    low: float = -math.inf
    high: float = math.inf
    version: str = ""
    aggregate: Mapping[str, Any] | None = None
    per_token: bool = False
    log_scale: bool = False
    family: str = ""
    explanation: str = ""
    headline: float = 0.0
    character: float = 0.0
    """its order among the columns of the table `characters`; 0: it isn't one of them"""
    matrix: Mapping[str, str] | None = None
    """the columns of an item with a matrix of characters: `speaker`, `gain` and `nll` → the column's name"""

    @property
    def short(self) -> str:
        """The name in raw rows and on the command line."""
        return self.name.removeprefix(METRICS)

    @property
    def is_metric(self) -> bool:
        return self.name.startswith(METRICS)

    @property
    def sign(self) -> int:
        """What values are multiplied by so that less is better; one whose direction isn't known is taken as it is."""
        return -1 if self.higher_is_better else 1

    @property
    def direction(self) -> str:
        return {True: "higher is better", False: "lower is better", None: "which way is better isn't known"}[
            self.higher_is_better
        ]


def _cost(name: str, label: str, spec: str = ".4g", **more: Any) -> Measure:
    return Measure(name, label, NumberFormat(spec), higher_is_better=False, **more)


_OF_RECORDS = {
    found.name: found
    for found in (
        _cost("training.best_eval_nll", "best held-out NLL (nats a token)", ".3f", per_token=True),
        _cost("training.eval_nll", "held-out NLL (nats a token)", ".3f", per_token=True),
        _cost("training.final_train_nll", "last training NLL (nats a token)", ".3f", per_token=True),
        _cost("training.trainable_parameters", "trainable parameters", ",.0f"),
        _cost("training.tokens", "training tokens", ",.0f"),
        _cost("resources.cpu_seconds", "CPU seconds"),
        _cost("resources.wall_seconds", "wall seconds"),
    )
}
"""numbers of every run's record, by dotted path"""


@dataclass(frozen=True)
class Measures:
    """The metrics of some results, headlines first; any other number by its dotted path."""

    metrics: Mapping[str, Measure]
    """by dotted path"""

    def __getitem__(self, name: str) -> Measure:
        """Return what is known of a number: at least its name, and that no training and no resource is too cheap."""
        if name in self.metrics:
            return self.metrics[name]
        if name in _OF_RECORDS:
            return _OF_RECORDS[name]
        return Measure(name, name.removeprefix(METRICS)) if name.startswith(METRICS) else _cost(name, name)

    def __iter__(self) -> Iterator[Measure]:
        return iter(self.metrics.values())

    def without(self, measure: Measure | None) -> Measures:
        """Return all but one."""
        return Measures({name: found for name, found in self.metrics.items() if found != measure})

    def headlines(self) -> list[Measure]:
        """Return the metrics that tables show unasked, in order; without any headline, measures of the character."""
        chosen = [measure for measure in self if measure.headline > 0]
        return chosen or sorted((measure for measure in self if measure.character > 0), key=lambda m: m.character)


def measures(results: Iterable[RunResult]) -> Measures:
    """Return the metrics that any of these results has, by headline, then in order of first appearance.

    Where descriptions of one name differ, the first counts: those of other versions stand in other sections
    (`read.comparable`).
    """
    found: dict[str, Measure] = {}
    for result in results:
        descriptions = result.part("descriptions")
        for name in result.part("metrics"):
            dotted = f"{METRICS}{name}"
            if dotted not in found:
                found[dotted] = described(str(name), descriptions.get(name))
    return Measures(dict(sorted(found.items(), key=lambda pair: -pair[1].headline)))


def described(name: str, description: Any) -> Measure:
    """Return a metric as its description says; what is missing or makes no sense there is as good as not said."""
    said = description if isinstance(description, Mapping) else {}
    low, high = _range(said.get("range"))
    return Measure(
        name=f"{METRICS}{name}",
        label=_text(said.get("label")) or name,
        form=_format(said.get("format")),
        higher_is_better=said["higher_is_better"] if isinstance(said.get("higher_is_better"), bool) else None,
        low=low,
        high=high,
        version=version(said),
        aggregate=said["aggregate"] if isinstance(said.get("aggregate"), Mapping) else None,
        per_token=said.get("per_token") is True,
        log_scale=said.get("log_scale") is True,
        family=_text(said.get("family")),
        explanation=_text(said.get("explanation")).rstrip("."),
        headline=_number(said.get("headline"), 0.0),
        character=_number(said.get("character"), 0.0),
        matrix=_columns(said.get("matrix")),
    )


def version(description: Any) -> str:
    """Return what tells two ways of computing a metric apart."""
    return str(description.get("version", "")) if isinstance(description, Mapping) else ""


def _columns(value: Any) -> Mapping[str, str] | None:
    """Return the columns of a matrix; None unless all that it takes are named."""
    named = isinstance(value, Mapping) and all(isinstance(value.get(name), str) for name in _MATRIX)
    return {name: value[name] for name in _MATRIX} if named else None


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _number(value: Any, default: float) -> float:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300
    return float(value) if is_number else default


def _range(value: Any) -> tuple[float, float]:
    ends = value if isinstance(value, (list, tuple)) and len(value) == 2 else (None, None)
    return _number(ends[0], -math.inf), _number(ends[1], math.inf)


def _format(value: Any) -> NumberFormat:
    if not isinstance(value, str) or _FORMAT.fullmatch(value) is None:
        return NumberFormat()
    return NumberFormat(value.replace("d", ".0f"))  # a mean over seeds isn't whole
