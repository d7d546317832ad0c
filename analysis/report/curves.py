"""Loss curves of runs from their history.jsonl, thinned to what a chart can show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.run import history_has_changed
from persona_sweeps.wording import pluralize

from ..read.files import read_lines
from ..read.files import short_number as number
from ..read.results import RunResult

POINTS = 40_000
"""points of all runs together, which make about 2 MB of the file"""
LEAST, MOST = 60, 500
"""points a run, whatever the number of runs"""
AXES = ("step", "tokens", "epoch", "seconds")
SERIES = ("train_nll", "eval_nll")


@dataclass(frozen=True)
class Curves:
    """The columns of each run's history by run id, and what has to be said of them."""

    by_run: Mapping[str, Mapping[str, list[float | None]]]
    notes: Sequence[str]


def read_curves(runs: Sequence[RunResult]) -> Curves:
    """Return the curves of these runs that logged a loss, each column as long as its run has points."""
    most = max(LEAST, min(MOST, POINTS // max(1, len(runs))))
    found, notes, thinned = {}, [], 0
    for run in runs:
        lines = read_lines(run.folder / "history.jsonl")
        if lines.trouble:
            notes.append(f"Run {run.run_id}: {lines.trouble}.")
        elif history_has_changed(RunFolder(run.folder), run.raw):
            notes.append(f"Run {run.run_id}: history.jsonl has changed since it was written: its curve may have holes.")
        rows = [row for row in lines.rows if any(number(row.get(series)) is not None for series in SERIES)]
        if rows:
            kept = thin(rows, most)
            thinned += len(kept) < len(rows)
            found[run.run_id] = {key: [number(row.get(key)) for row in kept] for key in (*AXES, *SERIES)}
    if thinned:
        notes.append(
            f"The curves of {pluralize(thinned, 'run')} are thinned to about {most} points each, keeping the "
            "first, last, lowest and highest of every stretch: history.jsonl has all."
        )
    return Curves(found, notes)


def thin(rows: Sequence[Mapping[str, Any]], most: int) -> list[Mapping[str, Any]]:
    """Return rows that draw like all of them: of each stretch the first, the last, the lowest and highest train loss.

    Every held-out loss stays while they are fewer than half of `most`, since a run has few of them; so at most twice
    `most` rows are returned. Rows are returned as they are where they are no more than `most`.
    """
    if len(rows) <= most:
        return list(rows)
    kept: set[int] = set()
    train = [number(row.get("train_nll")) for row in rows]
    held = [index for index, row in enumerate(rows) if number(row.get("eval_nll")) is not None]
    stretches = max(1, most // 4)
    for stretch in range(stretches):
        first, end = stretch * len(rows) // stretches, (stretch + 1) * len(rows) // stretches
        known = [(value, index) for index in range(first, end) if (value := train[index]) is not None]
        kept |= {first, end - 1, *([min(known)[1], max(known)[1]] if known else [])}
    every = max(1, -(-len(held) // max(1, most // 2)))
    kept |= {*held[::every], *held[-1:]}
    return [rows[index] for index in sorted(kept)]
