"""What tuning gave and what it cost: studies at equal numbers of trials, what mattered in them, the winners on test.

One module a kind of section; `comparisons` has which studies may be compared. They are imported when the table is made,
since the statistics need numpy.
"""

from __future__ import annotations

from ...read.selection import Selection
from ..table import Table

SUMMARY = "studies at equal numbers of trials and by what a target costs, which parameters mattered, winners on test"


def applies(selection: Selection) -> bool:
    """Whether there are studies."""
    return bool(selection.studies)


def build(selection: Selection) -> Table:
    """Return the sections of all kinds, with a raw row a trial."""
    from .table import table

    return table(selection)
