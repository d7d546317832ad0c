"""Settings in two measures, with their intervals, and a line through those that no other beats in both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..statistics.spread import Interval
from .best_of_k import COLOURS, shown

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = {"trained": "o", "reference": "s", "ceiling": "*"}
"""by the kind of a setting"""
WIDE = 30.0
"""ratio of the largest to the smallest positive value from which an axis is logarithmic"""


@dataclass(frozen=True)
class Point:
    """A setting; `across` and `up` are the intervals of its two values."""

    name: str
    x: float
    y: float
    across: Interval | None
    up: Interval | None
    kind: str
    on_front: bool


def draw(title: str, x: tuple[str, bool], y: tuple[str, bool], points: Sequence[Point]) -> Figure:
    """Return a scatter plot; each axis is (label, whether more is better)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    for index, point in enumerate(points):
        _add(axes, point, COLOURS[index % len(COLOURS)])
    front = sorted(((p.x, p.y) for p in points if p.on_front), key=lambda at: at[0])
    axes.plot([a for a, _ in front], [b for _, b in front], color="0.55", linestyle="--", linewidth=1, zorder=1)
    axes.set(xlabel=_axis(*x), ylabel=_axis(*y))
    _scale(axes, "x", [p.x for p in points])
    _scale(axes, "y", [p.y for p in points])
    axes.grid(True, color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    figure.suptitle(shown(title, 80), fontsize=10)
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _add(axes: Axes, point: Point, colour: str) -> None:
    """Draw a setting; those on the front are filled, and a dot says which they are in the legend."""
    axes.errorbar(
        point.x,
        point.y,
        xerr=_error(point.x, point.across),
        yerr=_error(point.y, point.up),
        fmt=MARKERS[point.kind],
        color=colour,
        markersize=9 if point.kind == "ceiling" else 6,
        markerfacecolor=colour if point.on_front else "white",
        elinewidth=0.9,
        capsize=2,
        label=f"{shown(point.name)}{' (front)' if point.on_front else ''}",
    )


def _error(value: float, found: Interval | None) -> list[list[float]] | None:
    return None if found is None else [[max(0.0, value - found.low)], [max(0.0, found.high - value)]]


def _axis(label: str, higher: bool) -> str:
    return f"{label} ({'more' if higher else 'less'} is better)"


def _scale(axes: Axes, which: str, values: Sequence[float]) -> None:
    """Make an axis logarithmic whose values differ widely; zero keeps its place, as of what trains nothing."""
    positive = [value for value in values if value > 0]
    if min(values) < 0 or not positive or max(positive) < WIDE * min(positive):
        return
    if min(values) > 0:
        axes.set(**{f"{which}scale": "log"})
    else:
        getattr(axes, f"set_{which}scale")("symlog", linthresh=min(positive))
