"""A metric by any two config keys: mean ± standard deviation over seeds, one section a comparability key."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..read.measures import MEASURES, measure
from ..read.results import Record, Selection
from ..read.settings import dataset_label, has_model, settings
from ..read.where import plain
from ..statistics.spread import Spread, spread
from . import numbers
from .notes import group_by_key, key_label, left_out
from .table import Column, Section, Table

_MODEL = ("config.model.name", "config.model.scale", "config.model.hub_id")


@dataclass(frozen=True)
class Pivot:
    """What stands where: dotted paths into the record; several keys make one heading together."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    metric: str


@dataclass(frozen=True)
class _Cell:
    """The completed runs at one place."""

    records: Sequence[Record]
    metric: str

    @cached_property
    def values(self) -> Spread | None:
        """Mean and deviation over runs that have the metric."""
        found = [record.number(self.metric) for record in self.records]
        return spread([value for value in found if value is not None])

    @cached_property
    def settings(self) -> int:
        return len(settings([record for record in self.records if record.number(self.metric) is not None]))

    @cached_property
    def mixes_tokenizers(self) -> bool:
        """Whether it would average a number that counts a tokenizer's tokens over several models."""
        name = self.metric.removeprefix("metrics.")
        models = {tuple(plain(record.get(key)) for key in _MODEL) for record in self.records if has_model(record)}
        return name in MEASURES and MEASURES[name].a_token and len(models) > 1

    def told(self) -> str:
        if self.values is None or self.mixes_tokenizers:
            return numbers.ABSENT
        form = measure(self.metric.removeprefix("metrics.")).form
        spread_told = f" ± {form(self.values.sd)}" if self.values.sd is not None else ""
        mixed = f", {self.settings} settings" if self.settings > 1 else ""
        return f"{form(self.values.mean)}{spread_told} (n={self.values.n}{mixed})"


def build(selection: Selection, pivot: Pivot) -> Table:
    """Return the pivot; cells of several settings say so, and none averages tokens of several tokenizers."""
    sections, raw = [], []
    for key, records in group_by_key(selection.completed()).items():
        section, rows = _section(key, records, pivot)
        sections.append(section)
        raw += rows
    label = measure(pivot.metric.removeprefix("metrics.")).label
    return Table(
        title=f"{label} by {_names([*pivot.rows, *pivot.columns])}: {selection.title}",
        columns=(),
        sections=sections,
        notes=[*left_out(selection), *_footnotes(pivot, bool(sections))],
        raw=raw,
    )


def _section(key: str, records: Sequence[Record], pivot: Pivot) -> tuple[Section, list[dict[str, Any]]]:
    rows = _headings(records, pivot.rows)
    columns = _headings(records, pivot.columns)
    places: dict[tuple[tuple[str, ...], tuple[str, ...]], list[Record]] = {}
    for record in records:
        places.setdefault((_at(record, pivot.rows), _at(record, pivot.columns)), []).append(record)
    cells = {(row, column): _Cell(places.get((row, column), []), pivot.metric) for row in rows for column in columns}
    shown = [[" ".join(row), *(cells[row, column].told() for column in columns)] for row in rows]
    headings = [Column(_names(pivot.rows), right=False), *(Column(" ".join(column) or "all") for column in columns)]
    labels = " / ".join(dict.fromkeys(map(dataset_label, records)))
    raw = [_raw(key, place, cell, pivot) for place, cell in cells.items() if cell.records]
    return Section(f"{labels} ({key_label(key)})", shown, _notes(list(cells.values()), pivot), headings), raw


def _headings(records: Sequence[Record], keys: Sequence[str]) -> list[tuple[str, ...]]:
    """Return the values at these keys, numbers in order of size."""
    return sorted({_at(record, keys) for record in records}, key=lambda values: [_order(value) for value in values])


def _order(value: str) -> tuple[bool, float, str]:
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value


def _at(record: Record, keys: Sequence[str]) -> tuple[str, ...]:
    return tuple(plain(record.get(key)) for key in keys)


def _notes(cells: Sequence[_Cell], pivot: Pivot) -> list[str]:
    notes = []
    mixed = [cell for cell in cells if not cell.mixes_tokenizers and cell.settings > 1]
    if mixed:
        notes.append(
            f"{len(mixed)} cells hold several settings, which differ in more than their seed: their mean and deviation "
            "are over all runs. Choose with --where, or give their keys to --rows or --columns."
        )
    tokenizers = sum(cell.mixes_tokenizers for cell in cells)
    if tokenizers:
        notes.append(
            f"{tokenizers} cells would average a number that counts a tokenizer's tokens over several models, and are "
            "left empty: add model.name to --rows, or choose --metric bits_per_byte."
        )
    without = sum(record.number(pivot.metric) is None for cell in cells for record in cell.records)
    if without:
        notes.append(f"{without} completed runs don't have the metric.")
    return notes


def _raw(key: str, place: tuple[tuple[str, ...], tuple[str, ...]], cell: _Cell, pivot: Pivot) -> dict[str, Any]:
    values = None if cell.mixes_tokenizers else cell.values
    keys = [*pivot.rows, *pivot.columns]
    headings = [*place[0], *place[1]]
    return {
        "comparability_key": key,
        **{name.removeprefix("config."): value for name, value in zip(keys, headings, strict=True)},
        "metric": pivot.metric.removeprefix("metrics."),
        "mean": values and values.mean,
        "sd": values and values.sd,
        "n": values.n if values else 0,
        "settings": cell.settings,
        "run_ids": " ".join(record.run_id for record in cell.records),
    }


def _footnotes(pivot: Pivot, any_run: bool) -> list[str]:
    if not any_run:
        return ["No run has completed yet."]
    notes = ["Mean ± sample standard deviation over n runs; sections aren't comparable with one another."]
    name = pivot.metric.removeprefix("metrics.")
    if name in MEASURES and MEASURES[name].a_token:
        notes.append("It counts a tokenizer's tokens: between models with different tokenizers, compare bits_per_byte.")
    return notes


def _names(keys: Sequence[str]) -> str:
    return ", ".join(key.removeprefix("config.") for key in keys)
