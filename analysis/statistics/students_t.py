"""Student's t distribution for arrays, so that tables need no scipy.

The tail probability is the regularized incomplete beta function I_x(df/2, 1/2) at x = df / (df + t²), by its continued
fraction (Press et al., "Numerical Recipes", 3rd edition, section 6.4).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
MOST_DF = 1000.0
"""more degrees of freedom are taken as so many: at 95 % the quantile is 0.12 % above the normal one then"""
_TENTHS = 30
_TERMS = 200
_log_gamma = np.vectorize(math.lgamma, otypes=[float])


def two_sided_p(t: Any, df: Any) -> Values:
    """Return P(|T| ≥ |t|) for each t with `df` ≥ 1 degrees of freedom; the arguments are broadcast."""
    t, df = np.broadcast_arrays(np.abs(np.asarray(t, dtype=float)), np.asarray(df, dtype=float))
    df = np.clip(df, 1.0, MOST_DF)
    with np.errstate(over="ignore"):
        x = df / (df + t * t)
    return _incomplete_beta(df / 2, x)


def quantile(p: float, df: Any) -> Values:
    """Return the t that |T| reaches with probability `p`, for each of the degrees of freedom.

    `quantile(0.05, df)` is the half width, in standard errors, of a 95 % interval. Degrees of freedom are rounded down
    to a tenth, and to a whole number from 30 on. That makes this half width larger by at most 0.6 % from 5 degrees of
    freedom on, 5 % from 2 on, and 22 % below.
    """
    df = np.clip(np.asarray(df, dtype=float) + 1e-9, 1.0, MOST_DF)
    place = np.where(df < _TENTHS, np.floor(10 * df) - 10, 10 * (_TENTHS - 1) + np.floor(df) - _TENTHS)
    return _quantiles(p)[place.astype(int)]


def half_width(p: float, df: float) -> float:
    """Return the same for one number, in a tenth of the time."""
    df = min(max(df + 1e-9, 1.0), MOST_DF)
    place = int(10 * df) - 10 if df < _TENTHS else 10 * (_TENTHS - 1) + int(df) - _TENTHS
    return float(_quantiles(p)[place])


@lru_cache(maxsize=32)
def _quantiles(p: float) -> Values:
    """Return the quantile at every degree of freedom of the grid, by bisection."""
    df = np.concatenate([np.arange(10, 10 * _TENTHS) / 10, np.arange(_TENTHS, MOST_DF + 1)])
    low, high = np.zeros_like(df), np.ones_like(df)
    while np.any(short := two_sided_p(high, df) > p):
        high[short] *= 4
    for _ in range(50):
        middle = (low + high) / 2
        above = two_sided_p(middle, df) > p
        low, high = np.where(above, middle, low), np.where(above, high, middle)
    return high


def _incomplete_beta(a: Values, x: Values) -> Values:
    """Return I_x(a, 1/2), from whichever of its two continued fractions converges fast."""
    with np.errstate(divide="ignore", invalid="ignore"):
        log_front = _log_gamma_ratio(a) + a * np.log(x) + 0.5 * np.log1p(-x)
        front = np.where((x <= 0) | (x >= 1), 0.0, np.exp(log_front))
        direct = x < (a + 1) / (a + 2.5)
        b = np.full_like(a, 0.5)
        fraction = _fraction(np.where(direct, a, b), np.where(direct, b, a), np.where(direct, x, 1 - x))
        found = np.where(direct, front * fraction / a, 1 - front * fraction / b)
    return np.clip(np.where(x >= 1, 1.0, np.where(x <= 0, 0.0, found)), 0.0, 1.0)


def _log_gamma_ratio(a: Values) -> Values:
    """Return log Γ(a + 1/2) − log Γ(a) − log Γ(1/2)."""
    distinct, place = np.unique(a, return_inverse=True)
    values = _log_gamma(distinct + 0.5) - _log_gamma(distinct) - math.lgamma(0.5)
    return values[place].reshape(a.shape)


def _fraction(a: Values, b: Values, x: Values) -> Values:
    """Return the continued fraction of the incomplete beta function by the modified Lentz method."""
    tiny = 1e-300
    c = np.ones_like(x)
    d = 1 - (a + b) * x / (a + 1)
    d = 1 / np.where(np.abs(d) < tiny, tiny, d)
    h = d.copy()
    for m in range(1, _TERMS):
        step = np.ones_like(x)
        for term in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1 + term * d
            d = 1 / np.where(np.abs(d) < tiny, tiny, d)
            c = 1 + term / np.where(np.abs(c) < tiny, tiny, c)
            step = step * c * d
        h = h * step
        if np.all(np.abs(step - 1) < 1e-12):
            break
    return h
