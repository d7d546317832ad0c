"""Metrics as functions of sums over evaluation items, so that any set of items has its value.

Perplexity weighs each token alike and BLEU pools n-grams: neither is a mean over items. Both follow from sums that
can be taken over any clusters, so that leaving a scene out gives exactly the metric of the corpus without it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .spread import MIN_EFFECTIVE

Values = NDArray[np.float64]
Line = Mapping[str, Any]
ORDERS = 4
"""of the n-grams of BLEU"""


@dataclass(frozen=True)
class Corpus:
    """`summands(line)` are an item's, P numbers; `value(sums)` takes (…, P) to (…).

    `weights` are the places of sums that tell how much a cluster weighs: the one spread least evenly counts, and
    `least` clusters of equal weight must tell as much. A `ratio` metric is positive without bound, and so is compared
    on a log scale, where its interval is too; of a `skewed` one that alone is. Intervals stay between `low` and `high`.
    """

    summands: Callable[[Line], tuple[float, ...]]
    value: Callable[[Values], Values]
    weights: tuple[int, ...] = (1,)
    least: float = MIN_EFFECTIVE
    ratio: bool = False
    skewed: bool = False
    low: float = 0.0
    high: float = math.inf


def corpus(metric: str) -> Corpus:
    """Return how a metric of the record follows from items; one that isn't known is taken as the mean over items."""
    return KNOWN[metric] if metric in KNOWN else _mean(metric, -math.inf, math.inf)


def _ratio(sums: Values) -> Values:
    with np.errstate(divide="ignore", invalid="ignore"):
        return sums[..., 0] / sums[..., 1]


def _perplexity(sums: Values) -> Values:
    with np.errstate(over="ignore"):
        return np.exp(_ratio(sums))


def _mean(metric: str, low: float, high: float) -> Corpus:
    return Corpus(lambda line: (float(line[metric]), 1.0), _ratio, low=low, high=high)


def _token_nll(line: Line) -> tuple[float, float]:
    tokens = int(line["completion_tokens"])
    if tokens < 1:
        raise ValueError(f"completion_tokens is {tokens}")
    return float(line["completion_nll"]) * tokens, float(tokens)


def _bits(line: Line) -> tuple[float, float]:
    size = int(line["completion_bytes"])
    if size < 1:
        raise ValueError(f"completion_bytes is {size}")
    return _token_nll(line)[0] / math.log(2), float(size)


def _bleu_summands(line: Line) -> tuple[float, ...]:
    """Return matches and totals of 1- to 4-grams, and the lengths of prediction and reference, in tokens."""
    prediction, reference = line["prediction"], line["reference"]
    if not isinstance(prediction, str) or not isinstance(reference, str):
        raise ValueError("no prediction or no reference")
    score = _bleu_metric().sentence_score(prediction, [reference])
    return (*map(float, score.counts), *map(float, score.totals), float(score.sys_len), float(score.ref_len))


@lru_cache(maxsize=1)
def _bleu_metric() -> Any:
    from sacrebleu.metrics.bleu import BLEU

    return BLEU(effective_order=True)  # matters to the score of a sentence, which isn't read; silences a warning


def bleu(sums: Values) -> Values:
    """Return corpus BLEU in 0–1 from sums (…, 10), as sacreBLEU computes it by default (exponential smoothing).

    Papineni et al. 2002, "BLEU: a Method for Automatic Evaluation of Machine Translation"; a tested equality.
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


KNOWN: dict[str, Corpus] = {
    "completion_nll": Corpus(_token_nll, _ratio),
    "completion_ppl": Corpus(_token_nll, _perplexity, ratio=True, low=1.0),
    "bits_per_byte": Corpus(_bits, _ratio),
    **{name: _mean(name, 0.0, 1.0) for name in ("rouge1", "rouge2", "rougeL", "rougeLsum")},
    "bleu": Corpus(_bleu_summands, bleu, weights=(-1, ORDERS - 1), least=6.0, skewed=True, high=1.0),
}
"""by the name in the record's `metrics`"""


@dataclass(frozen=True)
class Sums:
    """A run's items summed by cluster: `sums` is (C, P), in the order of `clusters`, which is sorted."""

    clusters: tuple[str, ...]
    sums: Values
    ids: int
    """the hash of the items' ids: equal for the same items"""
    items: int


def sums_by_cluster(lines: Sequence[Line], of: Corpus) -> Sums:
    """Return the sums of each cluster. Raises ValueError, KeyError or TypeError where an item lacks what is summed."""
    ids, names = zip(*((str(line["id"]), str(line["cluster"])) for line in lines), strict=True)
    clusters, place = np.unique(np.array(names, dtype=object), return_inverse=True)
    summands = np.array([of.summands(line) for line in lines], dtype=float)
    if not np.isfinite(summands).all():
        raise ValueError("a value isn't finite")
    sums = np.zeros((len(clusters), summands.shape[1]))
    np.add.at(sums, place, summands)
    identity = hash(frozenset(zip(ids, names, strict=True)))
    return Sums(tuple(map(str, clusters)), sums, identity, len(lines))
