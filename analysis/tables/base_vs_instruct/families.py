"""How often each side is ahead, by family of models."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...read.measures import Measure
from .. import wording
from .pairs import ModelPair

ALL = "all"


@dataclass(frozen=True)
class FamilyWins:
    """The pairs of a family with the same settings, in one metric."""

    family: str
    measure: Measure
    rows: Sequence[ModelPair]

    def ahead(self, instruct: bool) -> int:
        """Count the pairs in which a side has the better mean."""
        differences = [row.means[1] - row.means[0] for row in self.rows]
        sign = 1 if self.measure.higher_is_better is instruct else -1
        return sum(sign * difference > 0 for difference in differences)

    def shown(self, side: str) -> int:
        """Count the pairs in which a side is shown to be better."""
        return sum(wording.verdict(row.pair, row.measure, "instruct", "base") == side for row in self.rows)

    @property
    def run_ids(self) -> list[str]:
        return [run for row in self.rows for setting in (row.base, row.instruct) for run in setting.run_ids]


def wins(rows: Sequence[ModelPair]) -> list[FamilyWins]:
    """Return a row a family and metric, and one of all families where there are several; none for a single pair."""
    families = list(dict.fromkeys(row.family for row in rows))
    found = []
    for measure in {row.measure.name: row.measure for row in rows}.values():
        of_metric = [row for row in rows if row.measure.name == measure.name]
        found += [FamilyWins(name, measure, [row for row in of_metric if row.family == name]) for name in families]
        if len(families) > 1:
            found.append(FamilyWins(ALL, measure, of_metric))
    return [of for of in found if of.rows] if any(len(of.rows) > 1 for of in found) else []
