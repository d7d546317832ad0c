"""How far raters agree: Krippendorff's alpha for any number of them, Cohen's kappa for two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence

Distance = Callable[[float, float, Mapping[float, float]], float]
"""the squared difference of two values, given how often each value occurs"""


def _nominal(one: float, other: float, counts: Mapping[float, float]) -> float:
    return float(one != other)


def _interval(one: float, other: float, counts: Mapping[float, float]) -> float:
    return (one - other) ** 2


def _ordinal(one: float, other: float, counts: Mapping[float, float]) -> float:
    low, high = sorted((one, other))
    between = sum(count for value, count in counts.items() if low <= value <= high)
    return (between - (counts[low] + counts[high]) / 2) ** 2


LEVELS: Mapping[str, Distance] = {"nominal": _nominal, "ordinal": _ordinal, "interval": _interval}


def krippendorff_alpha(units: Sequence[Sequence[float]], level: str) -> float | None:
    """Return alpha, 1 − D_observed / D_expected, of the values that raters gave each unit, however many did.

    1 is full agreement, 0 what chance gives. None where no unit has two values, or all values are the same: then there
    is nothing to disagree on. `level` is nominal, ordinal or interval (Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability").
    """
    distance = LEVELS[level]
    pairable = [unit for unit in units if len(unit) > 1]
    counts: Counter[float] = Counter(value for unit in pairable for value in unit)
    total = sum(counts.values())
    if len(counts) < 2:
        return None
    observed = 0.0
    for unit in pairable:
        of_unit = Counter(unit)
        differences = sum(of_unit[c] * of_unit[k] * distance(c, k, counts) for c in of_unit for k in of_unit)
        observed += differences / (len(unit) - 1)
    expected = sum(counts[c] * counts[k] * distance(c, k, counts) for c in counts for k in counts)
    return 1 - (total - 1) * observed / expected


def cohen_kappa(pairs: Sequence[tuple[Hashable, Hashable]]) -> float | None:
    """Return Cohen's kappa of two raters' answers to the same units (Cohen 1960); None where chance alone agrees."""
    n = len(pairs)
    one, other = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    expected = sum(one[value] * other[value] for value in one) / n**2 if n else 1.0
    if expected == 1:
        return None
    return (sum(a == b for a, b in pairs) / n - expected) / (1 - expected)
