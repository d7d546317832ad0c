"""`python -m benchmarks.certainty`: how often tables say what isn't so, and how often they see what is, simulated.

Rows of known truth are drawn, and go through the statistics of the tables: once with each row's seeds alone, once with
the variances between seeds moderated by the other rows (`analysis.statistics.moderation`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from analysis.read.measures import described
from analysis.statistics.aggregates import Sums, aggregate
from analysis.statistics.differences import difference
from analysis.statistics.estimates import Estimate, estimate
from analysis.statistics.moderation import moderated
from analysis.statistics.ranks import rank
from benchmarks.page import rewrite_between
from benchmarks.rounds import ROOT
from persona_sweeps.records.files import write_json
from persona_sweeps.records.provenance import environment, now

BEGIN, END = "<!-- certainty:begin -->", "<!-- certainty:end -->"
POWER_BEGIN, POWER_END = "<!-- power:begin -->", "<!-- power:end -->"
BEST_BEGIN, BEST_END = "<!-- best-of:begin -->", "<!-- best-of:end -->"
RESULT = "certainty.json"
NLL = aggregate(
    described(
        "nll",
        {"aggregate": {"form": "ratio", "numerator": ["nll"], "denominator": ["tokens"]}, "higher_is_better": False},
    )
)
TRUTH = 3.0
BETTER = {"by a quarter": 0.25, "by half": 0.5}
"""nats by which one row is better where differences are looked for: a perplexity 22 % and 39 % lower"""
NOISIER = 6.0
"""times the sd between seeds of one row, where rows aren't alike"""
ROWS, SCENES, SEEDS = (2, 6, 12, 24), (6, 20, 60), (1, 2, 3, 5)
NOISE = ((0.1, 1.0), (0.3, 1.0), (0.1, NOISIER))
"""sd between seeds in nats, and how many times that it is for one row"""
TRIED = (1, 4, 16, 64)
"""equal settings of which the best is compared with the untuned base"""


def drawn(
    rng: np.random.Generator, rows: int, seeds: int, scenes: int, seed_sd: float, own: float = 1.0, noisier: float = 1.0
) -> list[Estimate]:
    """Return rows of true NLL 3: scenes of 1–8 lines of 5–40 tokens, which all rows share.

    Standard deviations in nats: 0.4 a scene, 0.8 a line, and of a row's own 0.15 a scene and 0.3 a line (times `own`);
    of a seed `seed_sd` (for the last row times `noisier`), 0.05 a scene and 0.1 a line.
    """
    lines = np.arange(8) < rng.integers(1, 9, size=(scenes, 1))
    tokens = rng.integers(5, 41, size=(scenes, 8)) * lines
    nll = TRUTH + rng.normal(0, 0.4, (scenes, 1)) + rng.normal(0, 0.8, (scenes, 8))
    names = tuple(f"{n:03d}" for n in range(scenes))
    found = []
    for row in range(rows):
        sd = seed_sd * (noisier if row == rows - 1 else 1.0)
        of_row = nll + own * (rng.normal(0, 0.15, (scenes, 1)) + rng.normal(0, 0.3, (scenes, 8)))
        runs = []
        for _ in range(seeds):
            noise = rng.normal(0, sd) + rng.normal(0, 0.05, (scenes, 1)) + rng.normal(0, 0.1, (scenes, 8))
            summed = ((of_row + noise) * tokens).sum(axis=1)
            sums = np.stack([summed, tokens.sum(axis=1).astype(float)], axis=1)
            runs.append(Sums(names, sums, 0, int(lines.sum())))
        found.append(estimate(runs, NLL))
    return found


@dataclass(frozen=True)
class Cell:
    rows: int
    scenes: int
    seeds: int
    sd: float
    noisier: float


def cells() -> Iterator[Cell]:
    """Yield what is simulated: all combinations."""
    for seeds in SEEDS:
        for sd, noisier in NOISE:
            for scenes in SCENES:
                for rows in ROWS:
                    yield Cell(rows, scenes, seeds, sd, noisier)


Way = Callable[[list[Estimate]], Sequence[Estimate | None]]
WAYS: Mapping[str, Way] = {"alone": lambda rows: rows, "moderated": moderated}


def simulate(cell: Cell, repetitions: int, seed: int = 0) -> dict[str, Any]:
    """Return the rates of a cell, each by itself and with moderated variances.

    `false` is how often any of equal rows is said to be better than another, `coverage` how often the interval of a
    difference between two rows holds the truth; by what one row is better, how often it is said to be first alone.
    """
    rng = np.random.default_rng([seed, cell.rows, cell.scenes, cell.seeds])
    counts = {way: dict.fromkeys(("false", "coverage", *BETTER), 0.0) for way in WAYS}
    for _ in range(repetitions):
        rows = drawn(rng, cell.rows, cell.seeds, cell.scenes, cell.sd, noisier=cell.noisier)
        for way, found in WAYS.items():
            count = counts[way]
            count["false"] += _differ(found(rows))
            count["coverage"] += _held(found(rows))
            for name, by in BETTER.items():
                better = replace(rows[0], value=rows[0].value - by, pseudo=rows[0].pseudo - by)
                count[name] += _is_first(found([better, *rows[1:]]))
    return {"cell": vars(cell), **{way: {k: n / repetitions for k, n in of.items()} for way, of in counts.items()}}


def _leader(rows: Sequence[Estimate | None]) -> int:
    return min(range(len(rows)), key=lambda place: found.value if (found := rows[place]) else np.inf)


def _differ(rows: Sequence[Estimate | None]) -> bool:
    found = rank(rows, _leader(rows), maximize=False)
    return any(best > 1 for best in found.best) or any(worst < len(rows) for worst in found.worst)


def _is_first(rows: Sequence[Estimate | None]) -> bool:
    return _leader(rows) == 0 and rank(rows, 0, maximize=False).worst[0] == 1


def _held(rows: Sequence[Estimate | None]) -> float:
    """Return the share of differences between neighbours whose interval holds 0; one without an interval does."""
    pairs = [(one, other) for one, other in zip(rows[::2], rows[1::2], strict=True) if one and other]
    intervals = [difference(one, other).interval for one, other in pairs]
    return float(np.mean([found is None or found.low <= 0 <= found.high for found in intervals]))


def best_of(tried: int, repetitions: int, scenes: int = 20, seeds: int = 3, sd: float = 0.05) -> float:
    """Return how often the best of equal settings differs from an equal base with p ≤ 0.05, uncorrected for choosing.

    The base answers the same each time.
    """
    rng = np.random.default_rng([7, tried])
    wrong = 0
    for _ in range(repetitions):
        rows = drawn(rng, tried + 1, seeds, scenes, sd)
        base = drawn_base(rows[-1])
        best = rows[_leader(rows[:-1])]
        p = difference(best, base).p
        wrong += p is not None and p <= 0.05 and best.value < base.value
    return wrong / repetitions


def drawn_base(row: Estimate) -> Estimate:
    """Return a row as if no seed changed it: its first seed alone."""
    return Estimate(
        float(row.pseudo[0].mean()), row.pseudo[:1], row.weights, row.clusters, row.ids, row.items, 0, row.least
    )


def render(kept: Mapping[str, Any], rates: Sequence[str]) -> str:
    """Return a Markdown table: a line for seeds, noise and scenes, with the rates for each number of rows."""
    heads = [f"{rows} rows" for rows in ROWS]
    lines = [f"| seeds | sd between seeds | scenes | {' | '.join(heads)} |", "| ---: | --- | ---: |" + " --- |" * 4]
    table: dict[tuple[int, float, float, int], list[str]] = {}
    for found in kept["cells"]:
        cell = Cell(**found["cell"])
        before, after = (", ".join(_percent(found[way][rate]) for rate in rates) for way in WAYS)
        text = after if cell.seeds == 1 else f"{after} ({before})"
        table.setdefault((cell.seeds, cell.sd, cell.noisier, cell.scenes), []).append(text)
    for (seeds, sd, noisier, scenes), texts in table.items():
        noise = f"{sd:g}" if noisier == 1 else f"{sd:g}, one row {sd * noisier:g}"
        lines.append(f"| {seeds} | {noise} | {scenes} | {' | '.join(texts)} |")
    return "\n".join(lines)


def render_best(kept: Mapping[str, Any]) -> str:
    return "\n".join(
        [
            f"| the best of | {' | '.join(map(str, TRIED))} |",
            "| --- |" + " ---: |" * len(TRIED),
            f"| p ≤ 0.05 | {' | '.join(_percent(kept['best_of'][str(tried)]) for tried in TRIED)} |",
        ]
    )


def _percent(rate: float) -> str:
    return f"{100 * rate:.1f} %" if rate < 0.0995 else f"{100 * rate:.0f} %"


def main(argv: Sequence[str] | None = None) -> int:
    """Simulate, keep the figures, and put them into docs/certainty.md."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.certainty", description=(__doc__ or "").split("\n")[0].partition(": ")[2]
    )
    parser.add_argument("--results", type=Path, default=ROOT / "benchmarks" / "results", metavar="DIR")
    parser.add_argument("--page", type=Path, default=ROOT / "docs" / "certainty.md", metavar="FILE")
    parser.add_argument("--repetitions", type=int, default=1000, metavar="N", help="of each cell (1000)")
    options = parser.parse_args(argv)
    found = []
    for cell in cells():
        found.append(simulate(cell, options.repetitions))
        print(*vars(cell).values(), *(of for way in WAYS for of in found[-1][way].values()), flush=True)
    best = {str(tried): best_of(tried, options.repetitions) for tried in TRIED}
    kept = {
        "created": now(), **environment(), "repetitions": options.repetitions, "better_nats": BETTER,
        "cells": found, "best_of": best,
    }  # fmt: skip
    write_json(options.results / RESULT, kept)
    rewrite_between(options.page, BEGIN, END, render(kept, ["false"]))
    rewrite_between(options.page, POWER_BEGIN, POWER_END, render(kept, list(BETTER)))
    rewrite_between(options.page, BEST_BEGIN, BEST_END, render_best(kept))
    print(f"Wrote {options.results / RESULT} and {options.page}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
