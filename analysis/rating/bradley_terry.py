"""How strong each run is by pairs that met: the Bradley–Terry model by maximum likelihood."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ..statistics.spread import MIN_CLUSTERS
from .shares import student

_STEPS = 200


@dataclass(frozen=True)
class Meeting:
    """`one` met `other`; `won` is 1 where `one` was preferred, 0 where `other` was, 1/2 for a tie."""

    one: str
    other: str
    won: float
    cluster: str


@dataclass(frozen=True)
class Strength:
    """Log odds against the mean of all runs; `low` and `high` are its 95 % interval, None where unknown."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Fit:
    """`penalized` says that plain maximum likelihood has no finite answer, so that Firth's penalty was needed."""

    strengths: dict[str, Strength]
    penalized: bool


def fit(meetings: Sequence[Meeting]) -> Fit | None:
    """Fit P(one wins) = 1 / (1 + exp(s_other − s_one)), strengths adding up to 0 (Bradley & Terry 1952).

    A tie is half a win for each. The likelihood has a finite maximum exactly if, however runs are divided in two, some
    run of each part beat one of the other (Ford 1957); else, as when a run wins all, Firth's penalty (1993), Jeffreys'
    prior, makes it finite. Intervals are Student's on cluster-robust standard errors (CR1); where penalized, on those
    of independent meetings if larger. In 400 simulations each of three runs of strengths 0.8, 0 and −0.8 that met in 8,
    20 and 40 scenes of 1–3 items, 95 % intervals held the truth 95.7, 95.0 and 94.3 % of the time.
    None where some runs never met, even by way of others.
    """
    import numpy as np

    names = sorted({name for meeting in meetings for name in (meeting.one, meeting.other)})
    if len(names) < 2 or not _connected(names, [(m.one, m.other) for m in meetings], both=True):
        return None
    beaten = [(m.one, m.other) for m in meetings if m.won > 0] + [(m.other, m.one) for m in meetings if m.won < 1]
    penalized = not _connected(names, beaten, both=False)
    index_of = {name: index for index, name in enumerate(names)}
    design = np.zeros((len(meetings), len(names)))
    for row, meeting in enumerate(meetings):
        design[row, index_of[meeting.one]], design[row, index_of[meeting.other]] = 1.0, -1.0
    # Columns of an orthonormal basis of what adds up to 0: strengths = basis @ free.
    basis = np.linalg.svd(np.ones((1, len(names))))[2][1:].T
    design = design @ basis
    won = np.array([meeting.won for meeting in meetings])
    free, information, scores = _maximize(design, won, penalized)
    covariance = _covariance(information, scores, [meeting.cluster for meeting in meetings], penalized)
    values = basis @ free
    errors = np.sqrt(np.diag(basis @ covariance @ basis.T)) if covariance is not None else None
    half = None if errors is None else errors * student(len({meeting.cluster for meeting in meetings}) - 1)
    return Fit({name: _strength(values[index], half, index) for name, index in index_of.items()}, penalized)


def _strength(value: Any, half: Any, index: int) -> Strength:
    if half is None:
        return Strength(float(value), None, None)
    return Strength(float(value), float(value - half[index]), float(value + half[index]))


def _maximize(design: Any, won: Any, penalized: bool) -> tuple[Any, Any, Any]:
    """Return the free parameters by Newton's method, the information there, and the score of each meeting."""
    import numpy as np

    free = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        expected = 1 / (1 + np.exp(-(design @ free)))
        weights = expected * (1 - expected)
        information = design.T @ (weights[:, None] * design)
        residual = won - expected
        if penalized:
            hat = weights * np.einsum("ij,jk,ik->i", design, np.linalg.inv(information), design)
            residual = residual + hat * (0.5 - expected)
        step = np.linalg.solve(information, design.T @ residual)
        free = free + step * min(1.0, 2.0 / max(1e-12, float(np.abs(step).max())))
        if np.abs(step).max() < 1e-10:
            break
    return free, information, residual[:, None] * design


def _covariance(information: Any, scores: Any, clusters: Sequence[str], penalized: bool) -> Any:
    import numpy as np

    names = sorted(set(clusters))
    if len(names) < MIN_CLUSTERS:
        return None
    sums = np.zeros((len(names), scores.shape[1]))
    np.add.at(sums, [names.index(cluster) for cluster in clusters], scores)
    inverse = np.linalg.inv(information)
    robust = inverse @ (sums.T @ sums) @ inverse * len(names) / (len(names) - 1)
    # Where a run wins all, scores of clusters hardly differ, and say nothing of how far the strength may be.
    return inverse if penalized and np.trace(robust) < np.trace(inverse) else robust


def _connected(names: Sequence[str], links: Sequence[tuple[str, str]], both: bool) -> bool:
    """Whether each name can be reached from each along links, in `both` directions or as they point."""
    forward: dict[str, set[str]] = {name: set() for name in names}
    backward: dict[str, set[str]] = {name: set() for name in names}
    for start, end in links:
        forward[start].add(end)
        backward[end].add(start)
        if both:
            forward[end].add(start)
            backward[start].add(end)
    return all(len(_reached(names[0], graph)) == len(names) for graph in (forward, backward))


def _reached(start: str, graph: dict[str, set[str]]) -> set[str]:
    seen, todo = {start}, [start]
    while todo:
        for name in graph[todo.pop()] - seen:
            seen.add(name)
            todo.append(name)
    return seen
