"""Margins and differences in percent: one row's number over another's, less one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from persona_sweeps.errors import DataError

from ...tables.table import Column, Section
from ..boards import Board, Heading, Printing
from ..rounding import Printed, Range, Verdict, cut_to, judge, percent, round_to
from .outcome import CheckOutcome, raw

WINNER = "winner/loser"
OTHER = "other/base"


@dataclass(frozen=True)
class PrintedPair:
    """Two rows of a table in one metric; `names` are what the pair's sides are called, the base's first."""

    row: str
    base: Printed
    other: Printed
    names: tuple[str, str]
    better: str | None

    @property
    def winner(self) -> str:
        """The side whose printed number is the better one."""
        if self.base.value == self.other.value:
            return "neither"
        return self.names[(self.other.value > self.base.value) == (self.better != "lower")]

    def ordered(self) -> tuple[Printed, Printed]:
        """Return the winner's number, then the loser's."""
        return (self.other, self.base) if self.winner == self.names[1] else (self.base, self.other)


FORMULAS: dict[str, Callable[[PrintedPair], tuple[Printed, Printed]]] = {
    WINNER: PrintedPair.ordered,
    OTHER: lambda pair: (pair.other, pair.base),
}
"""numerator and denominator of each formula"""


def check(board: Board, spec: Mapping[str, Any]) -> CheckOutcome:
    """Recompute a change in percent for each pair and metric, and judge what was printed of it.

    The change is 100 · (numerator/denominator − 1); its range has both inputs anywhere in what they were rounded from.
    """
    source = board.table(spec["from"])
    printed = board.table(spec["printed"]) if "printed" in spec else None
    rows, raws, flags = [], [], []
    for pair, column in _pairs(source, printed, spec):
        shown = printed.row(pair.row).values[column.metric] if printed else None
        for formula in spec["formulas"]:
            claimed = shown if formula == spec.get("printed_formula") else None
            nominal, range_ = change(*FORMULAS[formula](pair))
            verdict = judge(claimed, nominal, range_, percent)
            words = _words(formula, pair)
            rows.append(_cells(pair, column, formula, claimed, nominal, range_, verdict))
            raws.append(raw("relative", source, pair.row, column.metric, words, claimed, nominal, range_, verdict))
            if claimed and verdict.flagged and printed:
                flags.append((printed.key, _flag(pair, column, formula, claimed, nominal, verdict)))
    notes = _scan(source, printed, spec) if printed and flags else []
    return CheckOutcome(Section(f"Recomputed: {spec['title']}", rows, notes, _COLUMNS), raws, flags)


def change(numerator: Printed, denominator: Printed) -> tuple[Fraction, Range]:
    """Return the change in percent between printed numbers, and its range by what their rounding hides."""
    top, bottom = numerator.range, denominator.range
    if bottom.low <= 0 or top.low < 0:
        raise DataError(f"there is no change in percent of {numerator.text} against {denominator.text}.")
    nominal = 100 * (numerator.value / denominator.value - 1)
    return nominal, Range(100 * (top.low / bottom.high - 1), 100 * (top.high / bottom.low - 1))


_COLUMNS = (
    Column("pair", right=False),
    Column("metric", right=False),
    Column("better", right=False),
    Column("formula", right=False),
    Column("from"),
    Column("printed"),
    Column("recomputed"),
    Column("range by rounding"),
    Column("verdict", right=False),
)


def _pairs(source: Printing, printed: Printing | None, spec: Mapping[str, Any]) -> list[tuple[PrintedPair, Heading]]:
    """Return every pair in every metric that its two rows have."""
    found = []
    for entry in spec["pairs"]:
        for column in printed.columns if printed else source.columns:
            own = source.column(column.metric)
            base = source.row(entry["base"]).values[own.metric]
            other = source.row(entry["other"]).values[own.metric]
            if base is not None and other is not None:
                first, second = spec["sides"]
                found.append((PrintedPair(entry["row"], base, other, (first, second), own.better), own))
    return found


def _words(formula: str, pair: PrintedPair) -> str:
    return f"{pair.names[1]}/{pair.names[0]} − 1" if formula == OTHER else f"{formula} − 1"


def _cells(
    pair: PrintedPair,
    column: Heading,
    formula: str,
    claimed: Printed | None,
    nominal: Fraction,
    range_: Range,
    verdict: Verdict,
) -> list[str]:
    digits = _digits(claimed)
    top, bottom = FORMULAS[formula](pair)
    return [
        pair.row,
        column.label,
        pair.winner,
        _words(formula, pair),
        f"{top.text}/{bottom.text}",
        "–" if claimed is None else percent(claimed.value, claimed.decimals),
        percent(nominal, digits),
        f"{percent(range_.low, digits + 1)} to {percent(range_.high, digits + 1)}",
        verdict.words,
    ]


def _digits(claimed: Printed | None) -> int:
    """Return one decimal more than was printed, so that a reader sees which way it rounds."""
    return claimed.decimals + 1 if claimed else 1


def _flag(
    pair: PrintedPair, column: Heading, formula: str, claimed: Printed, nominal: Fraction, verdict: Verdict
) -> str:
    top, bottom = FORMULAS[formula](pair)
    return (
        f"{pair.row}, {column.label}: {percent(claimed.value, claimed.decimals)} is printed; {_words(formula, pair)} = "
        f"{top.text}/{bottom.text} − 1 = {percent(nominal, _digits(claimed))} "
        f"({verdict.words.removeprefix('flag: ')})."
    )


_READINGS: dict[str, Callable[[PrintedPair], Fraction]] = {
    "winner/loser − 1": lambda pair: 100 * (pair.ordered()[0].value / pair.ordered()[1].value - 1),
    "1 − loser/winner": lambda pair: 100 * (1 - pair.ordered()[1].value / pair.ordered()[0].value),
}
_ENDINGS: dict[str, Callable[[Fraction, int], Fraction]] = {"rounded": round_to, "cut off": cut_to}


def _scan(source: Printing, printed: Printing, spec: Mapping[str, Any]) -> list[str]:
    """Say whether any one formula, rounded or cut off, gives all that was printed."""
    claimed = [
        (pair, value)
        for pair, column in _pairs(source, printed, spec)
        if (value := printed.row(pair.row).values[column.metric]) is not None
    ]
    listed = ", ".join(percent(value.value, value.decimals) for _, value in claimed)
    tried: Sequence[tuple[str, list[Fraction]]] = [
        (f"{reading} {ending}", [cut(formula(pair), value.decimals) for pair, value in claimed])
        for reading, formula in _READINGS.items()
        for ending, cut in _ENDINGS.items()
    ]
    fitting = [name for name, gives in tried if gives == [value.value for _, value in claimed]]
    if fitting:
        return [f"What was printed ({listed}) is {' and '.join(fitting)}."]
    decimals = [value.decimals for _, value in claimed]
    gives = [f"{name} gives {', '.join(map(percent, given, decimals))}" for name, given in tried]
    return [f"No one formula gives all that was printed ({listed}): {'; '.join(gives)}."]
