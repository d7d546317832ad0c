"""What GCA says, as a table: the mean score of each setting with its interval over scenes, and the kinds of flaws."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..read.labels import model_label
from ..read.results import RunResult
from ..read.settings import settings
from ..tables.numbers import rate
from ..tables.table import Column, Section, Table
from .design import Key
from .gca import DIMENSIONS, ENDS, SEVERITIES, Graded
from .results import with_interval
from .shares import RatedMean, mean

_LABELS = {name: name.replace("_", " ") for name in DIMENSIONS}
_NOTES = (
    "GCA (CoSER, Wang et al. 2025): the judge lists the flaws of a reply, each with a severity of "
    f"{SEVERITIES[0]} to {SEVERITIES[1]}; a dimension has 100 − 5 · (their sum − 0.3) points, within 0 to 100, and "
    "GCA is the mean of the dimensions. More is better.",
    "A conversation is one reply here, so storyline quality, which is of several turns, is left out, and values can't "
    "be compared with those of whole conversations.",
    "Intervals take all replies of a scene or dialogue as one draw, and aren't given below six of them; they don't "
    "cover what another judge would say.",
)


@dataclass(frozen=True)
class _Row:
    """A setting with its graded replies: the seeds of it that were rated."""

    label: str
    learning_rate: float | None
    runs: tuple[str, ...]
    graded: Sequence[Graded]

    def mean(self, dimension: str | None) -> RatedMean:
        """Return the mean of a dimension, or of the whole."""
        values = [one.score() if dimension is None else one.scores()[dimension] for one in self.graded]
        return mean(values, [one.unit.cluster for one in self.graded], ENDS)

    def raw(self) -> dict[str, Any]:
        columns: dict[str, Any] = {
            "setting": self.label,
            "learning_rate": self.learning_rate,
            "item": None,
            "run_ids": " ".join(self.runs),
        }
        for name in (None, *DIMENSIONS):
            found, column = self.mean(name), name or "gca"
            columns |= {column: found.value, f"{column}_low": found.low, f"{column}_high": found.high}
        return columns | {"replies": len(self.graded), "scenes": self.mean(None).clusters}


def gca_table(key: Key, graded: Sequence[Graded], rated: Mapping[str, RunResult], title: str) -> Table:
    """Return a row a setting, best first; raw rows have the settings, then each reply."""
    rows = sorted(_rows(key, graded, rated), key=lambda row: -row.mean(None).value)
    columns = [
        Column("setting", right=False),
        Column("learning rate"),
        Column("replies"),
        Column("scenes"),
        Column("GCA [95 %]"),
        *(Column(f"{label} [95 %]") for label in _LABELS.values()),
    ]
    cells = [
        [
            row.label,
            rate(row.learning_rate),
            str(len(row.graded)),
            str(row.mean(None).clusters),
            *(with_interval(row.mean(name), _one_decimal) for name in (None, *DIMENSIONS)),
        ]
        for row in rows
    ]
    missing = [one for one in graded if one.flaws is None]
    failed = [f"{len(missing)} replies have no grade, the last since: {missing[-1].trouble}."] if missing else []
    sections = [Section("GCA", cells, failed, columns)] if rows else []
    raw = [row.raw() for row in rows] + [_raw_item(row, one) for row in rows for one in row.graded]
    return Table(title, columns, sections, [*([] if rows else failed), *_NOTES], raw)


def as_lines(graded: Sequence[Graded]) -> str:
    """Return the graded replies as JSON Lines, with their flaws in the judge's words."""
    rows = [
        {"unit": one.unit.unit, "item": one.unit.item, "run": one.run, "gca": one.score(), "flaws": _as_json(one)}
        for one in graded
        if one.flaws is not None
    ]
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def _as_json(one: Graded) -> dict[str, list[dict[str, Any]]]:
    assert one.flaws is not None, "only graded replies are written"
    return {name: [{"flaw": flaw, "severity": n} for flaw, n in found] for name, found in one.flaws.items()}


def _rows(key: Key, graded: Sequence[Graded], rated: Mapping[str, RunResult]) -> list[_Row]:
    """Return a row for each setting; a run that has no record here is one by itself."""
    of_run: dict[str, list[Graded]] = {}
    for one in graded:
        if one.flaws is not None:
            of_run.setdefault(one.run, []).append(one)
    names = {id(rated[run]): run for run in of_run if run in rated}
    groups = [
        (
            f"{model_label(setting.first)} {setting.label}",
            setting.learning_rate,
            [names[id(result)] for result in setting.results],
        )
        for setting in settings(rated[run] for run in of_run if run in rated)
    ]
    groups += [(key.names[run], None, [run]) for run in of_run if run not in rated]
    return [
        _Row(label, learning_rate, tuple(runs), [one for run in runs for one in of_run[run]])
        for label, learning_rate, runs in groups
    ]


def _raw_item(row: _Row, one: Graded) -> dict[str, Any]:
    of_setting = {"setting": row.label, "learning_rate": row.learning_rate}
    return of_setting | {"item": one.unit.item, "run_ids": one.run, "gca": one.score(), **one.scores()}


def _one_decimal(value: float) -> str:
    return f"{value:.1f}"
