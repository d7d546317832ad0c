"""A number by any two config keys: mean ± standard deviation over seeds, one section a set of comparable results."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..read.comparable import Comparable, why_apart
from ..read.labels import has_model, plain
from ..read.measures import Measure, measures
from ..read.results import RunResult
from ..read.selection import Selection
from ..read.settings import settings
from ..read.where import value_at
from ..statistics.shared_items import on_shared_items
from ..statistics.spread import Spread, spread
from . import notes
from .numbers import ABSENT
from .table import Column, Section, Table

_MODEL = ("config.model.name", "config.model.scale", "config.model.hub_id")
Headings = tuple[str, ...]


@dataclass(frozen=True)
class Pivot:
    """What stands where: dotted paths into results; several keys make one heading together."""

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    metric: str


@dataclass(frozen=True)
class _Cell:
    """The scored results of one row and column."""

    results: Sequence[RunResult]
    measure: Measure

    @cached_property
    def having(self) -> list[RunResult]:
        """The results that have the number."""
        return [result for result in self.results if result.number(self.measure.name) is not None]

    @cached_property
    def values(self) -> Spread | None:
        values = (result.number(self.measure.name) for result in self.having)
        return spread([value for value in values if value is not None])

    @cached_property
    def settings(self) -> int:
        return len(settings(self.having))

    @cached_property
    def mixes_tokenizers(self) -> bool:
        """Whether it would average a number that counts a tokenizer's tokens over several models."""
        models = {tuple(plain(result.get(key)) for key in _MODEL) for result in self.results if has_model(result)}
        return self.measure.per_token and len(models) > 1

    def text(self) -> str:
        if self.values is None or self.mixes_tokenizers:
            return ABSENT
        form = self.measure.form
        deviation = f" ± {form(self.values.sd)}" if self.values.sd is not None else ""
        mixed = f", {self.settings} settings" if self.settings > 1 else ""
        return f"{form(self.values.mean)}{deviation} (n={self.values.n}{mixed})"


def build(selection: Selection, pivot: Pivot) -> Table:
    """Return the pivot; cells of several settings say so, and none averages tokens of several tokenizers."""
    sections, raw = [], []
    groups = on_shared_items(selection.results)
    for group in groups:
        section, rows = _section(group, groups[0], pivot)
        sections.append(section)
        raw += rows
    measure = measures(selection.scored())[pivot.metric]
    return Table(
        title=f"{measure.label} by {_names([*pivot.rows, *pivot.columns])}: {selection.title}",
        columns=(),
        sections=sections,
        notes=[*notes.left_out(selection), *_footnotes(measure, bool(sections))],
        raw=raw,
    )


def _section(group: Comparable, first: Comparable, pivot: Pivot) -> tuple[Section, list[dict[str, Any]]]:
    rows, columns = (_headings(group.results, keys) for keys in (pivot.rows, pivot.columns))
    found: dict[tuple[Headings, Headings], list[RunResult]] = {}
    for result in group.results:
        found.setdefault((_at(result, pivot.rows), _at(result, pivot.columns)), []).append(result)
    measure = group.measures[pivot.metric]
    cells = {(row, column): _Cell(found.get((row, column), []), measure) for row in rows for column in columns}
    texts = [[" ".join(row), *(cells[row, column].text() for column in columns)] for row in rows]
    headings = [Column(_names(pivot.rows), right=False), *(Column(" ".join(column) or "all") for column in columns)]
    apart = why_apart(first, group)
    why = [f"Not comparable with the first section: {'; '.join(apart)}."] if apart else []
    raw = [_raw(group.key, at, cell, pivot) for at, cell in cells.items() if cell.results]
    return Section(group.data, texts, [*why, *_notes(list(cells.values()))], headings), raw


def _headings(results: Sequence[RunResult], keys: Sequence[str]) -> list[Headings]:
    """Return the values at these keys, numbers in order of size."""
    return sorted({_at(result, keys) for result in results}, key=lambda values: [_order(value) for value in values])


def _order(value: str) -> tuple[bool, float, str]:
    try:
        return False, float(value), value
    except ValueError:
        return True, 0.0, value


def _at(result: RunResult, keys: Sequence[str]) -> Headings:
    return tuple(plain(value_at(result, key)) for key in keys)


def _notes(cells: Sequence[_Cell]) -> list[str]:
    found = []
    mixed = [cell for cell in cells if not cell.mixes_tokenizers and cell.settings > 1]
    if mixed:
        found.append(
            f"{len(mixed)} cells hold several settings, which differ in more than their seed: their mean and deviation "
            "are over all runs. Choose with --where, or give their keys to --rows or --columns."
        )
    tokenizers = sum(cell.mixes_tokenizers for cell in cells)
    if tokenizers:
        found.append(
            f"{tokenizers} cells would average a number that counts a tokenizer's tokens over several models, and are "
            "left empty: add model.name to --rows, or choose a metric that doesn't count tokens."
        )
    without = sum(len(cell.results) - len(cell.having) for cell in cells)
    if without:
        found.append(f"{without} evaluated runs don't have the metric.")
    return found


def _raw(key: str, at: tuple[Headings, Headings], cell: _Cell, pivot: Pivot) -> dict[str, Any]:
    values = None if cell.mixes_tokenizers else cell.values
    keys = [*pivot.rows, *pivot.columns]
    return {
        "comparability_key": key,
        **{name.removeprefix("config."): value for name, value in zip(keys, [*at[0], *at[1]], strict=True)},
        "metric": cell.measure.short,
        "mean": values and values.mean,
        "sd": values and values.sd,
        "n": values.n if values else 0,
        "settings": cell.settings,
        "run_ids": " ".join(dict.fromkeys(result.run_id for result in cell.results)),
    }


def _footnotes(measure: Measure, any_run: bool) -> list[str]:
    if not any_run:
        return [notes.NOTHING]
    found = ["Mean ± sample standard deviation over n runs; sections aren't comparable with one another."]
    found += notes.units([measure])
    if measure.per_token:
        found.append(
            "It counts a tokenizer's tokens, so it can't be compared between models with different tokenizers."
        )
    return found


def _names(keys: Sequence[str]) -> str:
    return ", ".join(key.removeprefix("config.") for key in keys)
