"""The items that rows have in common: a model's template may push one of them over the limit of length, say.

Rows are compared on the items that all of them have. One that shares too few would take the others' items away from
them, so it is left out of the comparison instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .aggregates import Sums

SHARE = 0.5
"""of the items of any row that is compared: what all of them must have"""


@dataclass(frozen=True)
class Common:
    """The ids of the items that rows share, None where all have the same; and which rows share enough of them."""

    names: frozenset[str] | None
    sharing: Sequence[bool]


def common(rows: Sequence[Sequence[Sums]]) -> Common:
    """Return what these rows, each of one or more seeds, have in common.

    While the items that all have are fewer than `SHARE` of any row's, the rows go whose leaving helps most, and of
    several such those that are fewest.
    """
    if len({summed.ids for row in rows for summed in row}) <= 1:
        return Common(None, [True] * len(rows))
    of_rows = [frozenset.intersection(*(summed.names for summed in row)) for row in rows]
    kept = _kept(of_rows)
    return Common(frozenset.intersection(*kept), [names in kept for names in of_rows])


def shared_names(of_rows: Sequence[frozenset[str]]) -> frozenset[str]:
    """Return the ids that rows share, but for rows that share too few (`common`)."""
    return frozenset.intersection(*_kept(of_rows))


def _kept(of_rows: Sequence[frozenset[str]]) -> set[frozenset[str]]:
    """Return the sets of ids of the rows that may be compared."""
    count = {names: of_rows.count(names) for names in set(of_rows)}
    kept = set(count)
    while len(kept) > 1 and _shared(kept) < SHARE:
        kept.remove(max(kept, key=lambda names: (_shared(kept - {names}), -count[names], sorted(names)[:1])))
    return kept


def _shared(kept: set[frozenset[str]]) -> float:
    """Return the share that the common items have of the largest row's."""
    return len(frozenset.intersection(*kept)) / max(1, max(map(len, kept)))
