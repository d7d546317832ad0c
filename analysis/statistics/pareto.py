"""The Pareto front: what no other row beats in every respect, where several values count and none comes first."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def non_dominated(points: NDArray[np.float64], higher_is_better: Sequence[bool]) -> NDArray[np.bool_]:
    """Return which rows of `points` [N, K] are on the Pareto front, [N].

    A row is dominated if another one is at least as good in every column and better in one (Deb 2001, "Multi-Objective
    Optimization using Evolutionary Algorithms", section 2.4). `higher_is_better` says for each column whether more is
    better. Equal rows are on the front together. A row with a NaN is never on it, and dominates no other.

    Raises ValueError if `points` isn't a matrix with a column for each direction.
    """
    points = np.asarray(points, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != len(higher_is_better):
        raise ValueError(f"points has shape {points.shape}, and {len(higher_is_better)} directions are given")
    signs = np.where(np.asarray(higher_is_better, dtype=bool), -1.0, 1.0)
    losses = points * signs + 0.0  # 0.0 and -0.0 are one value
    usable = np.asarray(~np.isnan(losses).any(axis=1), dtype=np.bool_)
    front = np.zeros(len(points), dtype=np.bool_)
    # One that dominates a row comes before it in lexicographic order, and is itself on the front or dominated by one
    # that is: so each distinct row is compared with the front so far only.
    distinct, of = np.unique(losses[usable], axis=0, return_inverse=True)
    kept: list[int] = []
    for number, row in enumerate(distinct):
        if not (distinct[kept] <= row).all(axis=1).any():
            kept.append(number)
    front[usable] = np.isin(of.reshape(-1), kept)
    return front
