"""Numbers as a reader wants them in a table; the CSV has them in full."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ..read.measures import Measure
from ..read.settings import Setting
from ..statistics.spread import Interval, Spread

ABSENT = "–"
Form = Callable[[float], str]


@dataclass(frozen=True)
class Reading:
    """A number of a setting: its spread over those of the setting's `runs` that have it, and its interval if known."""

    spread: Spread | None
    runs: int
    interval: Interval | None = None

    def text(self, form: Form) -> str:
        """Return `mean ± sd [low, high]`, as far as each is known; `(n=k)` where only k of the runs have a value."""
        if self.spread is None:
            return ABSENT
        parts = [form(self.spread.mean)]
        if self.spread.sd is not None:
            parts.append(f"± {form(self.spread.sd)}")
        if self.interval is not None:
            parts.append(f"[{form(self.interval.low)}, {form(self.interval.high)}]")
        if self.spread.n < self.runs:
            parts.append(f"(n={self.spread.n})")
        return " ".join(parts)

    def raw(self, name: str) -> dict[str, Any]:
        """Return mean, deviation and count as raw columns, and the ends of the interval where there is one."""
        found = self.spread
        ends = {f"{name}_low": self.interval.low, f"{name}_high": self.interval.high} if self.interval else {}
        return {
            name: found and found.mean,
            f"{name}_sd": found and found.sd,
            f"{name}_n": found.n if found else 0,
        } | ends


def reading(setting: Setting, dotted: str, interval: Interval | None = None) -> Reading:
    """Return a number of a setting's results."""
    return Reading(setting.spread(dotted), len(setting.results), interval)


def by(form: Form) -> Callable[[Reading], str]:
    """Return what prints readings by this form."""
    return lambda found: found.text(form)


def form_of(measure: Measure) -> Callable[[Reading], str]:
    """Return what prints readings of a measure."""
    return by(measure.form)


def three_decimals(value: float) -> str:
    return f"{value:.3f}"


def one_decimal(value: float) -> str:
    return f"{value:,.1f}"


def count(value: float) -> str:
    """Return a count with thousands apart."""
    return f"{value:,.0f}" if math.isfinite(value) else str(value)


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


def megabytes(value: float) -> str:
    return f"{value / 1e6:,.1f}"


def seconds(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"
