"""Two measured settings side by side: what a table shows of their difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from .measured import Measured
from .spread import holm

if TYPE_CHECKING:
    from .differences import Difference


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
    found = differences(first, second)
    ruling = found.relative if first.scaled is not first.shared else found.absolute
    return replace(found, p=ruling.p if ruling else None)


def differences(first: Measured, second: Measured) -> Pair:
    """Return the same without a p-value."""
    if not (first.shared and second.shared and first.scaled and second.scaled):
        return Pair()
    from .differences import difference, relative
    from .estimates import ItemsDiffer

    try:
        return Pair(difference(first.shared, second.shared), relative(first.shared, second.shared))
    except ItemsDiffer as error:
        return Pair(trouble=str(error))


def together(pairs: Sequence[Pair]) -> list[Pair]:
    """Return the pairs with their p-values corrected as one family."""
    corrected = holm([found.p for found in pairs])
    return [replace(found, corrected=p) for found, p in zip(pairs, corrected, strict=True)]
