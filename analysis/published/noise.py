"""Which ranks of a board could be noise, when only means and the number of items are known.

A mean over n items has a standard error of SD/√n; the difference of two rows on the same items one of
SD·√(2(1 − ρ)/n), where ρ is the correlation of the two rows' item scores. Neither SD nor ρ was published, so the answer
is given for a range of both. Of every ordered pair it's tested, by the normal approximation, whether the one isn't
better than the other; Holm's correction over all of them keeps the chance of any false statement at 5 %. A row's ranks
are those that the statements leave open (Mogstad, Romano, Shaikh & Wilhelm 2024), as in our own leaderboard
(`statistics.ranks`). Of 2000 simulated boards of nine equal rows on 62 items, 3.4 % set any two apart, with ρ 0 as
with ρ 0.7.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from statistics import NormalDist
from typing import Any

from persona_sweeps.errors import UserError

from ..statistics.spread import LEVEL, holm
from ..tables.table import Column, Section
from .boards import Board, Heading, Printing
from .checks.outcome import known

ALPHA = 1 - LEVEL
LARGEST_SD = 0.5
"""No score in 0–1 has a larger standard deviation."""


@dataclass(frozen=True)
class NoiseScenario:
    """What is assumed: the standard deviation of item scores and their correlation between rows."""

    sd: float
    correlation: float

    @property
    def label(self) -> str:
        return f"SD {self.sd:g}, ρ {self.correlation:g}"

    def error(self, n: int) -> float:
        """Return the standard error of the difference of two rows' means over the same n items."""
        return self.sd * math.sqrt(2 * (1 - self.correlation) / n)


def better_pairs(values: Sequence[float], error: float) -> set[tuple[int, int]]:
    """Return the pairs (i, j) of which i is better than j at 95 %, after Holm's correction over all ordered pairs.

    `error` is the standard error of the difference of two values.
    """
    pairs = list(permutations(range(len(values)), 2))
    corrected = holm([NormalDist().cdf((values[j] - values[i]) / error) for i, j in pairs])
    return {pair for pair, p in zip(pairs, corrected, strict=True) if p is not None and p <= ALPHA}


def rank_ranges(count: int, better: set[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the first and the last rank of each of so many rows that these statements leave open; 1 is the best."""
    above = Counter(worse for _, worse in better)
    below = Counter(ahead for ahead, _ in better)
    return [(1 + above[index], count - below[index]) for index in range(count)]


def sd_to_tell_apart(difference: float, n: int, correlation: float) -> float:
    """Return the item SD below which a difference of two means is significant at 95 % on its own, uncorrected."""
    return abs(difference) / (NormalDist().inv_cdf(1 - ALPHA / 2) * math.sqrt(2 * (1 - correlation) / n))


def sections(board: Board, sd: float | None = None) -> list[Section]:
    """Return the ranks that could be noise and the neighbours that could swap; nothing where the board's n is unknown.

    `sd` takes the place of the SDs that the board's file assumes. Raises `UserError` for one that no score in 0–1 has,
    or that is given for a board of which nothing can be said.
    """
    if sd is not None:
        _check_sd(board, sd)
    if board.noise is None:
        return []
    table = board.table(board.noise["table"])
    column = table.column(board.noise["metric"])
    if table.n is None:
        return []
    given = [sd] if sd is not None else [float(text) for text in board.noise["sds"]]
    correlations = sorted((float(text) for text in board.noise["correlations"]), reverse=True)
    scenarios = [NoiseScenario(each, correlation) for each in given for correlation in correlations]
    scenarios.sort(key=lambda scenario: scenario.error(1))
    return [_ranks(table, column, scenarios, sd is not None), _neighbours(table, column, correlations)]


def _check_sd(board: Board, sd: float) -> None:
    if not 0 < sd <= LARGEST_SD:
        raise UserError(f"--sd is {sd:g}: a score in 0–1 has a standard deviation above 0 and at most {LARGEST_SD}.")
    if board.noise is None:
        raise UserError(f"--sd has nothing to say of {board.name}: of how many items its numbers are is unknown.")


def _values(table: Printing, column: Heading) -> tuple[list[str], list[str], list[float]]:
    """Return the names, the printed numbers, and these as values of which the higher is better."""
    numbers = known(table, column)
    sign = -1 if column.better == "lower" else 1
    values = [sign * float(value.value) for _, value in numbers]
    return [row.name for row, _ in numbers], [value.text for _, value in numbers], values


def _ranks(table: Printing, column: Heading, scenarios: Sequence[NoiseScenario], asked: bool) -> Section:
    assert table.n is not None
    names, texts, values = _values(table, column)
    found = [better_pairs(values, scenario.error(table.n)) for scenario in scenarios]
    ranges = [rank_ranges(len(values), better) for better in found]
    rows = [
        [str(index + 1), name, text, *(_range(each[index]) for each in ranges)]
        for index, (name, text) in enumerate(zip(names, texts, strict=True))
    ]
    columns = [Column("rank"), Column("model", right=False), Column(column.label)]
    columns += [Column(scenario.label) for scenario in scenarios]
    notes = [
        _assumption(asked, table.n),
        "The draw of an unseeded sampler is part of an item's SD, and so covered; another training seed isn't, nor are "
        "items that belong together (several of one documentary or persona). With either, ranks are wider still.",
    ]
    title = f"Ranks that can't be excluded at 95 %, by assumed SD of an item's {column.label} and correlation of rows"
    return Section(title, rows, notes, columns)


def _assumption(asked: bool, n: int) -> str:
    typical = (
        "SDs of 0.08–0.15 are assumed (`--sd 0.12` sets another): eleven rows of ours, 24 replies each, have 0.08–0.10 "
        "in ROUGE-1 at lower means, and ρ of −0.11 to 0.82 (benchmarks/results/item_noise.json)"
    )
    assumed = "the SD is the one asked for (`--sd`)" if asked else typical
    return (
        f"Per-item scores weren't published: {assumed}; ρ, the correlation of two rows' scores on the same items, is "
        f"unknown too. ρ 0 is as if the rows had been asked different questions. n = {n} items, normal approximation, "
        "Holm over all ordered pairs."
    )


def _neighbours(table: Printing, column: Heading, correlations: Sequence[float]) -> Section:
    assert table.n is not None
    names, texts, values = _values(table, column)
    rows = []
    for index in range(len(names) - 1):
        difference = values[index] - values[index + 1]
        needed = [f"{sd_to_tell_apart(difference, table.n, correlation):.3f}" for correlation in sorted(correlations)]
        rows.append([f"{index + 1} and {index + 2}", names[index], names[index + 1], f"{difference:.3f}", *needed])
    columns = [Column("ranks"), Column("model", right=False), Column("next", right=False), Column("difference")]
    columns += [Column(f"SD needed, ρ {correlation:g}") for correlation in sorted(correlations)]
    notes = [
        "The item SD below which two neighbours differ at 95 %, tested alone, without any correction: the least that "
        "would have to hold. It needs no assumption but ρ."
    ]
    return Section("How quiet the items would have to be", rows, notes, columns)


def _range(ends: tuple[int, int]) -> str:
    return str(ends[0]) if ends[0] == ends[1] else f"{ends[0]}–{ends[1]}"


def as_raw(board: Board, sd: float | None = None) -> list[Mapping[str, Any]]:
    """Return the rank ranges for CSV and JSON, one mapping a row and assumption."""
    rows: list[Mapping[str, Any]] = []
    if board.noise is None:
        return rows
    table = board.table(board.noise["table"])
    column = table.column(board.noise["metric"])
    if table.n is None:
        return rows
    names, texts, values = _values(table, column)
    for each in [sd] if sd is not None else [float(text) for text in board.noise["sds"]]:
        for correlation in map(float, board.noise["correlations"]):
            ranges = rank_ranges(len(values), better_pairs(values, NoiseScenario(each, correlation).error(table.n)))
            rows += [
                {
                    "kind": "rank range",
                    "table": table.key,
                    "row": name,
                    "metric": column.metric,
                    "printed": text,
                    "low": low,
                    "high": high,
                    "assumed_sd": each,
                    "assumed_correlation": correlation,
                }
                for name, text, (low, high) in zip(names, texts, ranges, strict=True)
            ]
    return rows
