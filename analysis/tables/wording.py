"""Differences, intervals and p-values as a reader wants them in a table, and what they can't speak of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ..read.settings import Setting
from ..statistics.measured import is_fixed
from ..statistics.spread import MIN_CLUSTERS, Interval
from . import numbers

if TYPE_CHECKING:
    from ..statistics.differences import Difference
    from ..statistics.estimates import Estimate

Form = Callable[[float], str]


def p_value(p: float | None) -> str:
    """Return a p-value to three decimals; nothing below 0.001 is told apart."""
    return numbers.ABSENT if p is None else "<0.001" if p < 0.001 else f"{p:.3f}"


def interval(found: Interval, form: Form) -> str:
    return f"[{form(found.low)}, {form(found.high)}]"


def signed(form: Form) -> Form:
    """Return the form with a sign in front."""
    return lambda value: form(value) if value < 0 else f"+{form(value)}"


def share(change: float, found: Interval | None = None) -> str:
    """Return a relative change in percent, with its interval where there is one."""
    told = numbers.percent(change)
    return told if found is None else f"{told} [{100 * found.low:+.1f}, {100 * found.high:+.1f}]"


def absolute(found: Difference | None, form: Form) -> str:
    """Return a difference with its interval."""
    if found is None:
        return numbers.ABSENT
    told = signed(form)(found.value)
    return told if found.interval is None else f"{told} {interval(found.interval, signed(form))}"


def relative(found: Difference | None) -> str:
    return numbers.ABSENT if found is None else share(found.value, found.interval)


def evaluated_on(found: Estimate) -> str:
    """Say on how much the numbers rest, and what that is too little for."""
    scenes = f"{found.items} items of {len(found.clusters)} scenes or dialogues"
    if found.trusted:
        return f"Evaluated on {scenes}."
    outweighed = "a few of which decide the value"
    few = f"fewer than {MIN_CLUSTERS}" if len(found.clusters) < MIN_CLUSTERS else outweighed
    return f"Evaluated on {scenes}, {few}: too few for an interval or a test, so the order may be chance."


def without_training_noise(settings: Sequence[Setting], metric: str) -> list[str]:
    """Say what can't be known of settings that were trained with a single seed."""
    trained = [setting for setting in settings if not is_fixed(setting.first, metric)]
    single = [setting for setting in trained if len(setting.records) == 1]
    if not single:
        return []
    count = "Each row has" if len(single) == len(trained) else f"{len(single)} of {len(trained)} trained rows have"
    return [
        f"{count} one seed: intervals, ranks and p-values then speak of new evaluation items and can't speak of "
        "training noise. Another seed may change the order; add seeds with seed=0,1,2."
    ]
