"""The settings that no other beats in two measures at once, and where all of them lie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...read.comparable import Comparable
from ...read.measures import Measure, measures
from ...read.selection import Selection
from ...statistics.spread import Interval
from .. import references
from ..numbers import by, reading
from ..table import Column, Figure, Section, cells
from .rows import CharacterRow, Characters, heading

if TYPE_CHECKING:
    from ...figures.pareto import Point

NAMES = {"cost": "resources.cpu_seconds", "trainable": "training.trainable_parameters"}
"""short names of numbers that every run has"""
_NOTE = (
    "A setting is on the front if no other is at least as good in both and better in one. That goes by the values "
    "alone: where intervals overlap, another sample may put others there. A ceiling isn't compared."
)


@dataclass(frozen=True)
class _Row:
    """A setting with both numbers, and whether it is on the front."""

    row: CharacterRow
    x: float
    y: float
    on_front: bool


def fronts(groups: Sequence[Characters], pareto: tuple[str, str], selection: Selection) -> list[Section]:
    """Return a section with a figure for each set of comparable settings of which two or more have both numbers."""
    known = measures(selection.results)
    axes = [known[NAMES.get(name, name)] for name in pareto]
    sections = [_front(group, axes[0], axes[1]) for group in groups]
    return [section for section in sections if section is not None]


def _front(group: Characters, x: Measure, y: Measure) -> Section | None:
    rows = _rows(group, x, y)
    competing = [row for row in rows if not row.row.setting.is_ceiling]
    if len(competing) < 2:
        return None
    columns = [
        Column("method", right=False, value=lambda row: references.marked(row.row.setting)),
        *(
            Column(
                heading(measure),
                value=lambda row, measure=measure: reading(  # type: ignore[misc]
                    row.row.setting, measure.name, _interval(row.row, measure)
                ),
                form=by(measure.form),
            )
            for measure in (x, y)
        ),
        Column("front", right=False, value=lambda row: "yes" if row.on_front else "no"),
    ]
    ordered = sorted(competing, key=lambda row: (not row.on_front, x.sign * row.x))
    title = f"{x.label} and {y.label}: {group.title}"
    left = len(group.rows) - len(rows)
    notes = [_NOTE, *([f"{left} of {len(group.rows)} settings lack one of the two."] if left else [])]
    runs = [row.row.setting.run_ids for row in ordered]
    return Section(title, cells(columns, ordered), notes, columns, _figures(group.group, x, y, rows), runs)


def _rows(group: Characters, x: Measure, y: Measure) -> list[_Row]:
    import numpy as np  # listing the tables needs neither

    from ...statistics.pareto import non_dominated

    having = [
        (row, values[0], values[1])
        for row in group.rows
        if None not in (values := (row.mean(x.name), row.mean(y.name))) and values[0] is not None
    ]
    points = np.array(
        [(np.nan, np.nan) if row.setting.is_ceiling else (a, b) for row, a, b in having], dtype=np.float64
    ).reshape(len(having), 2)
    front = non_dominated(points, [x.higher_is_better is True, y.higher_is_better is True])
    return [_Row(row, a, b, bool(on)) for (row, a, b), on in zip(having, front, strict=True) if b is not None]


def _interval(row: CharacterRow, measure: Measure) -> Interval | None:
    """Return the interval of a measure of the character, or of another metric; None of a cost."""
    if measure.name in row.by_measure:
        return row.by_measure[measure.name].measured.interval
    if not measure.is_metric:
        return None
    from ...statistics.measured import measured

    return measured(row.setting, measure).interval


def _figures(group: Comparable, x: Measure, y: Measure, rows: Sequence[_Row]) -> list[Figure]:
    from ... import figures

    if not figures.can_draw():
        return []

    def render() -> dict[str, bytes]:
        from ...figures import pareto

        title = f"{', '.join(group.models)} · {group.data.partition(' (')[0]}"
        points = [_point(row, x, y) for row in rows]
        axes = [(m.label, m.higher_is_better is True) for m in (x, y)]
        return figures.files(lambda: pareto.draw(title, axes[0], axes[1], points))

    name = f"characters-{group.key[:10]}-{x.short}-{y.short}".replace(".", "_")
    return [Figure(name, f"{x.label} and {y.label} of each setting, with the Pareto front", render)]


def _point(row: _Row, x: Measure, y: Measure) -> Point:
    from ...figures.pareto import Point

    setting = row.row.setting
    kind = "ceiling" if setting.is_ceiling else "reference" if setting.is_reference else "trained"
    across, up = (_interval(row.row, measure) for measure in (x, y))
    return Point(setting.label, row.x, row.y, across, up, kind, row.on_front)
