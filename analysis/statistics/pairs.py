"""Two measured settings side by side: what a table shows of their difference."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .measured import Measured
from .spread import holm

if TYPE_CHECKING:
    from .differences import Difference


_ONE = 1e-6
"""relative difference below which p-values are those of one test"""


@dataclass(frozen=True)
class Pair:
    """First against second: their difference, the same as a share of the second, and the p-value by which they differ.

    Each is None where it can't be known. `p` is of logarithms for a metric on a log scale; `corrected` is it by Holm
    (`together`).
    """

    absolute: Difference | None = None
    relative: Difference | None = None
    p: float | None = None
    corrected: float | None = None
    trouble: str | None = None

    def raw(self, prefix: str) -> dict[str, Any]:
        """Return all that is known at full precision, as raw columns."""
        row: dict[str, Any] = {}
        for name, found in (("difference", self.absolute), ("change", self.relative)):
            ends = found.interval if found else None
            row |= {
                f"{prefix}_{name}": found and found.value,
                f"{prefix}_{name}_low": ends and ends.low,
                f"{prefix}_{name}_high": ends and ends.high,
            }
        return row | {f"{prefix}_d": self.d, f"{prefix}_p": self.p, f"{prefix}_p_holm": self.corrected}

    @property
    def d(self) -> float | None:
        """The mean difference in standard deviations of the differences by cluster."""
        found = self.relative or self.absolute
        return found.d if found else None


def pair(first: Measured, second: Measured) -> Pair:
    """Compare two settings by their items; nothing is known where one has no estimate or their items differ."""
    return _with_p(differences(first, second), first.is_log)


def differences(first: Measured, second: Measured) -> Pair:
    """Return the same without a p-value."""
    if not (first.shared and second.shared and first.scaled and second.scaled):
        return Pair()
    return _mean([(first, second)])


def mean_pair(both: Sequence[tuple[Measured, Measured]]) -> Pair:
    """Return the mean of several such comparisons on the same items (`mean_difference`); nothing where one can't be."""
    if not all(side.shared and side.scaled for sides in both for side in sides):
        return Pair()
    return _with_p(_mean(both), both[0][0].is_log)


def _mean(both: Sequence[tuple[Measured, Measured]]) -> Pair:
    from .differences import growth, mean_difference, relative_mean
    from .estimates import ItemsDiffer

    shared = [(one.shared, other.shared) for one, other in both if one.shared and other.shared]
    logs = [(one.scaled, other.scaled) for one, other in both if one.is_log and one.scaled and other.scaled]
    try:
        relative = growth(mean_difference(logs)) if logs else relative_mean(shared)
        return Pair(mean_difference(shared), relative)
    except ItemsDiffer as error:
        return Pair(trouble=str(error))


def _with_p(found: Pair, on_log: bool) -> Pair:
    ruling = found.relative if on_log else found.absolute
    return replace(found, p=ruling.p if ruling else None)


def together(pairs: Sequence[Pair], of: Sequence[str] = ()) -> list[Pair]:
    """Return the pairs with their p-values corrected as one family.

    `of` names the metric of each. One whose tests are all those of an earlier metric, as perplexity's are those of bits
    a byte on one model, doesn't count again: its p-values are the other's.
    """
    twin = _twins(pairs, of)
    once = holm([None if place in twin else found.p for place, found in enumerate(pairs)])
    return [replace(found, corrected=once[twin.get(place, place)]) for place, found in enumerate(pairs)]


def _twins(pairs: Sequence[Pair], of: Sequence[str]) -> dict[int, int]:
    """Return, for the places of metrics that repeat another's tests, the places of those."""
    places: dict[str, list[int]] = {}
    for place, metric in enumerate(of):
        places.setdefault(metric, []).append(place)
    found: dict[int, int] = {}
    firsts: list[list[int]] = []
    for of_metric in places.values():
        same = next(
            (first for first in firsts if _are_one_test([pairs[p] for p in first], [pairs[p] for p in of_metric])), None
        )
        if same is None:
            firsts.append(of_metric)
        else:
            found |= dict(zip(of_metric, same, strict=True))
    return found


def _are_one_test(first: Sequence[Pair], second: Sequence[Pair]) -> bool:
    if len(first) != len(second):
        return False
    both = [(one.p, other.p) for one, other in zip(first, second, strict=True)]
    return all(p is not None and q is not None and math.isclose(p, q, rel_tol=_ONE) for p, q in both)
