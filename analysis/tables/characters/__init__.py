"""How well settings are the character: values with ranks, their intervals, a mean over characters, a Pareto front."""

from __future__ import annotations

from ...read.selection import Selection
from ...statistics.shared_items import on_shared_items
from .. import notes
from ..options import TableOptions
from ..table import Column, Table, raw_rows
from .front import fronts
from .rows import Characters, measures_of
from .summary import summaries

SUMMARY = "whether it is the character: likelihood, ranking, voice, mixing, forgetting, copying; a rank for each"
HEAD = (Column("method", right=False), Column("seeds"))
"""of a table without rows"""
_NOTHING = (
    "No evaluation has measures of the character. They need no new training: give the command of the sweep again with "
    "metrics=[likelihood,overlap,ranking,style,blending,forgetting,copying], and peft=true_reply for the ceiling of "
    "texts."
)
_CELLS = (
    "After # stand the ranks that can't be excluded at 95 % in that column (Holm's correction within it); ↓ marks "
    "columns where lower is better. Columns are ranked each by itself, so a row that is first in many is first in some "
    "by chance."
)


def applies(selection: Selection) -> bool:
    """Whether any evaluation has a measure of the character that the leaderboard doesn't show."""
    return any(m.headline == 0 for group in on_shared_items(selection.results) for m in measures_of(group))


def usual_front(selection: Selection) -> tuple[str, str] | None:
    """Return the two numbers whose front a report shows unasked: the first measure of the character, and the cost."""
    found = [measure for group in on_shared_items(selection.results) for measure in measures_of(group)]
    return (min(found, key=lambda measure: measure.character).name, "cost") if found else None


def build(selection: Selection, options: TableOptions | None = None) -> Table:
    """Return sections for each set of comparable results that have measures of the character; `pareto` adds fronts.

    Where the same settings were run for several characters, a mean over these comes first.
    """
    groups = [Characters(group) for group in on_shared_items(selection.results) if measures_of(group)]
    printed = [measure for group in groups for measure in group.measures]
    pareto = options.pareto if options is not None else None
    said = [*notes.units(printed), _CELLS, notes.SPREADS, notes.INTERVALS, notes.CSV]
    return Table(
        title=f"Characters: {selection.title}",
        columns=HEAD,
        sections=[
            *summaries(groups),
            *(section for group in groups for section in group.sections()),
            *(fronts(groups, pareto, selection) if pareto else ()),
        ],
        notes=[*notes.left_out(selection), *said] if groups else [_NOTHING],
        raw=[row for group in groups for row in raw_rows(group.columns, group.rows)],
    )
