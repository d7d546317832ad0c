"""The best to expect of so many trials, one line a study: against the number of trials, and against what they cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..statistics.spread import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""of Okabe & Ito 2008, told apart with any colour vision; their yellow is left out, being too light for lines"""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
LINES = ("-", "--", "-.", ":", (0, (3, 1, 1, 1, 1, 1)))
LONG = 12
"""trials from which their axis is logarithmic"""
_NAME = 48


@dataclass(frozen=True)
class Curve:
    """A study's curve: at each of `ks` trials the expected best, with its band where there is one.

    `tokens` is the mean training tokens of a trial, None if unknown.
    """

    name: str
    ks: Sequence[int]
    best: Sequence[float]
    bands: Sequence[Interval | None]
    tokens: float | None


def draw(title: str, axis: str, curves: Sequence[Curve]) -> Figure:
    """Return two panels with the curves' bests on the shared vertical axis, named `axis`."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.2, 3.3), layout="constrained")
    by_trials, by_tokens = figure.subplots(1, 2, sharey=True)
    for curve, (colour, marker, line) in zip(curves, _styles(), strict=False):
        style = {"color": colour, "marker": marker, "linestyle": line, "label": shown(curve.name)}
        _add(by_trials, curve, 1.0, style)
        if curve.tokens:
            _add(by_tokens, curve, curve.tokens, style)
    by_trials.set(xlabel="trials", ylabel=f"expected best\n{axis}")
    by_tokens.set_xlabel("mean training tokens")
    _scale_trials(by_trials, max(curve.ks[-1] for curve in curves))
    _scale_tokens(by_tokens, [curve for curve in curves if curve.tokens])
    _frame(by_trials, curves)
    for axes in (by_trials, by_tokens):
        axes.grid(True, color="0.92", linewidth=0.6)
        axes.set_axisbelow(True)
    figure.suptitle(shown(title, 100), fontsize=10)
    handles = by_trials.get_lines()
    figure.legend(handles, [str(line.get_label()) for line in handles], loc="outside lower center", ncols=3)
    return figure


def _styles() -> Iterator[tuple[str, str, object]]:
    """Yield styles without end: the lengths of the lists have no common divisor, so that 280 differ."""
    return zip(itertools.cycle(COLOURS), itertools.cycle(MARKERS), itertools.cycle(LINES), strict=False)


def _add(axes: Axes, curve: Curve, unit: float, style: dict[str, object]) -> None:
    """Draw one curve over its trials times `unit`, with its band."""
    xs = [k * unit for k in curve.ks]
    marked = [index for index, k in enumerate(curve.ks) if k == curve.ks[-1] or k & (k - 1) == 0]
    axes.plot(xs, list(curve.best), markevery=marked, markersize=4, linewidth=1.4, **style)  # type: ignore[arg-type]
    banded = [(x, band) for x, band in zip(xs, curve.bands, strict=True) if band is not None]
    if banded:
        lows, highs = [band.low for _, band in banded], [band.high for _, band in banded]
        axes.fill_between([x for x, _ in banded], lows, highs, color=str(style["color"]), alpha=0.13, linewidth=0)


def _scale_trials(axes: Axes, longest: int) -> None:
    from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, ScalarFormatter

    if longest < LONG:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        return
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_locator(FixedLocator([2**power for power in range(longest.bit_length())]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(ScalarFormatter())


def _scale_tokens(axes: Axes, curves: Sequence[Curve]) -> None:
    from matplotlib.ticker import EngFormatter, LogLocator, NullLocator

    if not curves:
        axes.text(0.5, 0.5, "unknown", transform=axes.transAxes, ha="center", va="center", color="0.4")
        axes.set_xticks([])
        return
    units = [curve.tokens or 1 for curve in curves]
    if max(curve.ks[-1] for curve in curves) >= LONG or max(units) > 8 * min(units):
        axes.set_xscale("log", base=10)
        axes.xaxis.set_major_locator(LogLocator(base=10, subs=(1, 2, 5)))
        axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(EngFormatter(sep=" "))


def _frame(axes: Axes, curves: Sequence[Curve]) -> None:
    """Show every curve, and of the bands as much as leaves the curves most of the height."""
    bests = [best for curve in curves for best in curve.best]
    low, high = min(bests), max(bests)
    margin = (high - low or abs(high) or 1.0) * 0.06
    room = (high - low) * 0.6
    edges = [edge for curve in curves for band in curve.bands if band for edge in (band.low, band.high)]
    edges = [edge for edge in edges if math.isfinite(edge)]
    bottom, top = min([low, *edges]), max([high, *edges])
    limits = max(bottom, low - room) - margin, min(top, high + room) + margin
    if all(map(math.isfinite, limits)):
        axes.set_ylim(limits)


def shown(name: str, longest: int = _NAME) -> str:
    """Return a name that a legend shows: printable, not too long, and no leading underscore, which would hide it."""
    printable = "".join(character for character in " ".join(name.split()) if character.isprintable())
    cut = printable if len(printable) <= longest else f"{printable[: longest - 1]}…"
    return f" {cut}" if cut.startswith("_") else cut or "?"
