"""Tail probabilities and quantiles of Student's t distribution, from scipy."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

Values = NDArray[np.float64]


def two_sided_p(t: Any, df: Any) -> Values:
    """Return P(|T| ≥ |t|) for each t with `df` degrees of freedom, at least one; the arguments are broadcast."""
    return np.asarray(2 * stdtr(np.maximum(df, 1.0), -np.abs(t)))


def half_width(p: float, df: Any) -> Values:
    """Return the t that |T| reaches with probability `p`: 0.05 gives half of a 95 % interval in standard errors."""
    return np.asarray(-stdtrit(np.maximum(df, 1.0), p / 2))
