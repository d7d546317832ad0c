"""Numbers as a reader wants them in a table; the CSV has them in full."""

from __future__ import annotations

import math
from collections.abc import Callable

from ..statistics.spread import Interval, Spread

ABSENT = "–"


def perplexity(value: float) -> str:
    """Return a perplexity to two decimals, and to three digits where it is very large."""
    return f"{value:.2f}" if abs(value) < 10_000 else f"{value:.3g}"


def three_decimals(value: float) -> str:
    return f"{value:.3f}"


def count(value: float | None) -> str:
    """Return a count with thousands apart."""
    return ABSENT if value is None else f"{value:,.0f}" if math.isfinite(value) else str(value)


def tokens(value: float | None) -> str:
    """Return a number of tokens in thousands (k) or millions (M)."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if value >= 1e6:
        return f"{value / 1e6:,.2f} M"
    return f"{value / 1e3:,.1f} k" if value >= 1e3 else f"{value:,.0f}"


def rate(value: float | None) -> str:
    """Return a learning rate as short as it goes."""
    return ABSENT if value is None else f"{value:g}"


def percent(value: float) -> str:
    """Return a relative change with its sign."""
    return f"{100 * value:+.1f} %"


def seconds(value: Spread | None) -> str:
    return ABSENT if value is None else f"{value.mean:,.0f}" if value.mean >= 10 else f"{value.mean:.1f}"


def with_spread(value: Spread | None, form: Callable[[float], str], runs: int, interval: Interval | None = None) -> str:
    """Return `mean ± sd [low, high]`, as far as each is known; `(n=k)` where only k of the `runs` have a value."""
    if value is None:
        return ABSENT
    parts = [form(value.mean)]
    if value.sd is not None:
        parts.append(f"± {form(value.sd)}")
    if interval is not None:
        parts.append(f"[{form(interval.low)}, {form(interval.high)}]")
    if value.n < runs:
        parts.append(f"(n={value.n})")
    return " ".join(parts)
