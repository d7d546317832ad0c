"""Metrics as functions of sums over items, as their descriptions say, so that any set of items has its value.

A perplexity weighs each token alike and BLEU pools n-grams: neither is a mean over items. Both follow from sums that
can be taken over any clusters, so that leaving a scene out gives exactly the metric of the corpus without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..read.measures import Measure
from .spread import MIN_EFFECTIVE

Values = NDArray[np.float64]
Line = Mapping[str, Any]
ORDERS = 4
"""of the n-grams of BLEU"""


class NoAggregate(ValueError):
    """A metric's description doesn't say how it follows from items."""


@dataclass(frozen=True)
class Aggregate:
    """`summands(line)` are an item's, P numbers; `value(sums)` takes (…, P) to (…).

    `weights` are the indices of sums that say how much a cluster weighs: the one spread least evenly counts; `least` is
    the smallest effective number of clusters that can be trusted. A `log_scale` metric is positive without bound, and
    so is compared by ratios, and has its interval, on a log scale; of a `skewed` one the interval alone is. Intervals
    stay between `low` and `high`. `has_item_values` is false where an item's own value means nothing.
    """

    summands: Callable[[Line], tuple[float, ...]]
    value: Callable[[Values], Values]
    weights: tuple[int, ...] = (1,)
    least: float = MIN_EFFECTIVE
    log_scale: bool = False
    skewed: bool = False
    low: float = -math.inf
    high: float = math.inf
    has_item_values: bool = True
    columns: tuple[str, ...] = ()
    """of an item, from which it follows"""

    def of_item(self, line: Line) -> float | None:
        """Return the metric of a single item; None where it lacks what is summed, or has no finite value."""
        if not self.has_item_values:
            return None
        try:
            value = float(self.value(np.array(self.summands(line), dtype=float)))
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        return value if math.isfinite(value) else None


def aggregate(measure: Measure) -> Aggregate:
    """Return how a metric follows from items. Raises NoAggregate where its description doesn't say, in a known form."""
    described = measure.aggregate or {}
    form = described.get("form")
    if not isinstance(form, str) or form not in FORMS:
        raise NoAggregate(f"No interval of {measure.label}: its description doesn't say how it follows from items")
    try:
        summands, value, columns = FORMS[form](described)
    except (KeyError, TypeError, ValueError) as error:
        raise NoAggregate(f"No interval of {measure.label}: its aggregate can't be read ({error!r})") from error
    weights = (2,) if described.get("signed") is True else (1,)
    found = Aggregate(
        summands, value, weights, log_scale=measure.log_scale, low=measure.low, high=measure.high, columns=columns
    )
    if form == NGRAMS:
        return replace(found, weights=(-1, ORDERS - 1), least=6.0, skewed=True, has_item_values=False)
    return found


def item_scores(metrics: Iterable[Measure]) -> Sequence[tuple[Measure, Callable[[Line], float | None]]]:
    """Return the metrics of which a single item has a value, with what computes it from a line of samples."""
    found = []
    for measure in metrics:
        try:
            of = aggregate(measure)
        except NoAggregate:
            continue
        if of.has_item_values:
            found.append((measure, of.of_item))
    return found


Form = tuple[Callable[[Line], tuple[float, ...]], Callable[[Values], Values], tuple[str, ...]]
"""(an item's summands, the value of their sums, the columns that they are made of)"""
MEAN, RATIO, NGRAMS = "mean", "ratio", "ngram_precision"


def _mean(described: Mapping[str, Any]) -> Form:
    column = str(described["of"])
    return lambda line: (float(line[column]), 1.0), _quotient, (column,)


def _ratio(described: Mapping[str, Any]) -> Form:
    """Sum products of columns, and divide: scale · Σ numerator / Σ denominator, or its exponential.

    The denominator is what an item weighs, unless it is `signed`, such as a gain: then items weigh alike.
    """
    above, below = (_columns(described[part]) for part in ("numerator", "denominator"))
    scale, exponential = float(described.get("scale", 1.0)), described.get("exp") is True
    signed = described.get("signed") is True

    def summands(line: Line) -> tuple[float, ...]:
        weight = math.prod(float(line[column]) for column in below)
        if weight < 0 and not signed:
            raise ValueError(f"{' · '.join(below)} is {weight:g}")
        above_line = math.prod(float(line[column]) for column in above)
        return (above_line, weight, 1.0) if signed else (above_line, weight)

    def value(sums: Values) -> Values:
        with np.errstate(over="ignore"):
            return np.exp(scale * _quotient(sums)) if exponential else scale * _quotient(sums)

    return summands, value, (*above, *below)


def _columns(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(column, str) for column in value):
        raise ValueError(f"{value!r} is no list of columns")
    return value


def _quotient(sums: Values) -> Values:
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums[..., 0] / sums[..., 1]


def _ngram_precision(described: Mapping[str, Any]) -> Form:
    column = str(described["of"])

    def summands(line: Line) -> tuple[float, ...]:
        counts = line[column]
        if not isinstance(counts, list) or len(counts) != 2 * ORDERS + 2:
            raise ValueError(f"{column} isn't a list of {2 * ORDERS + 2} counts")
        return tuple(counts)

    return summands, ngram_precision, (column,)


def ngram_precision(sums: Values) -> Values:
    """Return corpus BLEU in 0–1 from sums (…, 10), as sacreBLEU computes it by default (exponential smoothing).

    The sums are matches and totals of 1- to 4-grams, and the lengths of predictions and references. Papineni et al.
    2002, "BLEU: a Method for Automatic Evaluation of Machine Translation"; a tested equality.
    """
    matches, totals = sums[..., :ORDERS], sums[..., ORDERS : 2 * ORDERS]
    length, reference = sums[..., -2], sums[..., -1]
    doublings = np.cumsum(matches <= 0, axis=-1)
    with np.errstate(divide="ignore", invalid="ignore"):
        precisions = np.where(matches > 0, matches, 0.5**doublings) / totals
        brevity = np.where(length < reference, np.exp(1 - reference / length), 1.0)
        found = brevity * np.exp(np.log(precisions).mean(axis=-1))
    defined = (matches.sum(axis=-1) > 0) & (totals > 0).all(axis=-1)
    return np.where(defined, np.minimum(found, 1.0), 0.0)


FORMS: dict[str, Callable[[Mapping[str, Any]], Form]] = {MEAN: _mean, RATIO: _ratio, NGRAMS: _ngram_precision}
"""by the `form` of a description's aggregate"""


Places = tuple[tuple[str, ...], tuple[str, ...]]
"""the ids and the clusters of items"""


@dataclass(frozen=True)
class Scored:
    """The items that a metric scored, in order: their ids and clusters, and their summands (N, P)."""

    names: tuple[str, ...]
    clusters: tuple[str, ...]
    summands: Values


@dataclass(frozen=True)
class Sums:
    """An evaluation's items summed by cluster: `sums` is (C, P), in the order of `clusters`, which is sorted."""

    clusters: tuple[str, ...]
    sums: Values
    ids: int
    """the hash of the items' ids: equal for the same items"""
    items: int
    scored: Scored | None = None
    """the items themselves"""

    @cached_property
    def names(self) -> frozenset[str]:
        """The items' ids; none where only their sums are known."""
        return frozenset(self.scored.names if self.scored else ())

    def only(self, names: frozenset[str]) -> Sums:
        """Return the sums of the items with these ids."""
        found = self.scored
        if found is None or names >= self.names:
            return self
        kept = [index for index, name in enumerate(found.names) if name in names]
        ids, clusters = ([part[index] for index in kept] for part in (found.names, found.clusters))
        return _summed(Scored(tuple(ids), tuple(clusters), found.summands[kept]))


def sums_by_cluster(lines: Sequence[Line], of: Aggregate, places: Places | None = None) -> Sums:
    """Return the sums of each cluster, over the items that the metric scored; `places` are the lines' if known.

    An item that has none of the metric's columns wasn't scored: texts may be generated for some items only. Raises
    ValueError, KeyError or TypeError where an item lacks one of several columns, or all items lack them.
    """
    columns = of.columns
    if not all(columns[0] in line for line in lines):
        scored = [line for line in lines if any(column in line for column in columns)] or lines
        lines, places = scored, places if scored is lines else None
    ids, names = places or (tuple(str(line["id"]) for line in lines), tuple(str(line["cluster"]) for line in lines))
    summands = np.array([of.summands(line) for line in lines], dtype=float)
    if not np.isfinite(summands).all():
        raise ValueError("a value isn't finite")
    return _summed(Scored(ids, names, summands))


def _summed(scored: Scored) -> Sums:
    clusters, index, identity = _clusters(scored.names, scored.clusters)
    sums = np.zeros((len(clusters), scored.summands.shape[1]))
    np.add.at(sums, index, scored.summands)
    return Sums(clusters, sums, identity, len(scored.names), scored)


@lru_cache(maxsize=64)
def _clusters(names: tuple[str, ...], of_items: tuple[str, ...]) -> tuple[tuple[str, ...], NDArray[np.intp], int]:
    """Return the clusters, sorted, the place of each item's among them, and the hash of the items.

    Thousands of runs have the same items.
    """
    clusters, index = np.unique(np.array(of_items, dtype=object), return_inverse=True)
    return tuple(map(str, clusters)), index, hash(frozenset(zip(names, of_items, strict=True)))
