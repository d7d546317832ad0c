"""How far characters are apart in a matrix of gains, with intervals for other scenes and seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..read.matrices import Matrix, ScoredLine
from ..read.measures import described
from .aggregates import aggregate, sums_by_cluster
from .estimates import estimate, interval
from .spread import Interval

MEAN = {"form": "mean", "of": "value"}
RATIO = {"form": "ratio", "numerator": ["off"], "denominator": ["on"], "scale": 1.0, "exp": False, "signed": True}


@dataclass(frozen=True)
class Known:
    """A value and its interval; None where there are too few scenes, or no value."""

    value: float | None = None
    interval: Interval | None = None


def cell(matrix: Matrix, character: str, speaker: str) -> Known:
    """Return the mean gain as a character on a speaker's lines, nats a token."""
    return _known(matrix, MEAN, lambda line: {"value": line.gain[character]} if line.speaker == speaker else None)


def identified(matrix: Matrix) -> Known:
    """Return the share of lines that their own speaker makes most probable (0–1); ties count 1/ties."""
    return _known(matrix, MEAN, _identified, (0.0, 1.0))


def swap_margin(matrix: Matrix) -> Known:
    """Return how many nats a token a line costs more as another character, a mean over characters and lines."""
    return _known(matrix, MEAN, _margin)


def bleed(matrix: Matrix) -> Known:
    """Return the mean gain on others' lines over that on the characters' own; no value where the latter isn't above 0.

    Means are over characters and lines: a line stands once on the diagonal, and once for each other character off it.
    """
    others = len(matrix.characters) - 1

    def summands(line: ScoredLine) -> dict[str, float] | None:
        if line.speaker not in line.gain or not others:
            return None
        off = math.fsum(gain for name, gain in line.gain.items() if name != line.speaker)
        return {"on": line.gain[line.speaker], "off": off / others}

    items = [summands(line) for lines in matrix.by_seed.values() for line in lines]
    on = math.fsum(item["on"] for item in items if item is not None)
    return _known(matrix, RATIO, summands) if on > 0 else Known()


def _identified(line: ScoredLine) -> dict[str, float] | None:
    if line.speaker not in line.nll or len(line.nll) < 2:
        return None
    best = [name for name, nll in line.nll.items() if nll <= min(line.nll.values())]
    return {"value": (line.speaker in best) / len(best)}


def _margin(line: ScoredLine) -> dict[str, float] | None:
    others = [nll for name, nll in line.nll.items() if name != line.speaker]
    if line.speaker not in line.nll or not others:
        return None
    return {"value": math.fsum(others) / len(others) - line.nll[line.speaker]}


def _known(
    matrix: Matrix,
    form: Mapping[str, Any],
    columns: Callable[[ScoredLine], dict[str, float] | None],
    ends: Sequence[float | None] = (None, None),
) -> Known:
    """Return a value that follows from columns of each line, with the interval of the leaderboard's metrics."""
    of = aggregate(described("value", {"aggregate": dict(form), "range": list(ends)}))
    seeds = [
        [{"id": line.id, "cluster": line.cluster, **values} for line in lines if (values := columns(line)) is not None]
        for lines in matrix.by_seed.values()
    ]
    if not all(seeds):
        return Known()
    summed = [sums_by_cluster(lines, of) for lines in seeds]
    value = math.fsum(float(of.value(one.sums.sum(axis=0))) for one in summed) / len(summed)
    try:
        found = estimate(summed, of, matrix.fixed)
    except ValueError:  # a single scene, or a value that some scene alone decides
        return Known(value if math.isfinite(value) else None)
    return Known(found.value, interval(found, of))
