"""Decoding settings against metrics, between evaluations that share everything else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..read.comparable import by_versions
from ..read.labels import canonical, dataset_label, decoding_label, method_label, model_label
from ..read.measures import Measure, Measures, measures
from ..read.results import RunResult, put_together
from ..read.samples import SamplesError
from ..read.selection import Selection
from ..read.settings import Setting, settings
from ..statistics.diversity import Diversity, read_diversity
from ..statistics.spread import spread
from . import notes
from .numbers import Form, Reading, by, form_of, rate, reading, three_decimals
from .options import TableOptions
from .shared_columns import cost_columns, identity_columns, metric_columns
from .table import Column, Section, Table, cells, raw_rows, shown

SUMMARY = "decoding settings (greedy, temperature, top_p, …) against metrics and diversity, all else being equal"

HEAD = (Column("decoding", right=False), Column("seeds"))
"""of a table without rows"""
_SAME = 1e-9
"""relative difference below which two values are the same"""


def applies(selection: Selection) -> bool:
    """Whether some evaluations differ in their decoding alone."""
    return any(len(group) > 1 for group in _alike(selection.scored()))


def build(selection: Selection, options: TableOptions | None = None) -> Table:
    """Return one section a set of evaluations that differ in `config.generation` alone, the best by the metric first.

    The comparability key has the decoding in it, so rows of a section have different ones by intent.
    """
    groups = _alike(selection.scored())
    found = [_comparison(group, options.metric if options else None) for group in groups if len(group) > 1]
    alone = sum(len(group) == 1 for group in groups)
    footnotes = _footnotes(found) if found else [_HOW]
    return Table(
        title=f"Decoding settings: {selection.title}",
        columns=HEAD,
        sections=[comparison.section() for comparison in found],
        notes=[
            *notes.left_out(selection),
            *([f"{alone} settings were decoded in one way only, and so aren't shown."] if alone else []),
            *footnotes,
        ],
        raw=[row for comparison in found for row in raw_rows(comparison.columns(), comparison.rows)],
    )


_HOW = (
    "No evaluations differ in their decoding alone: sweep it, such as "
    "generation=nucleus generation.temperature=0.7,1.0."
)


@dataclass(frozen=True)
class DecodingRow:
    """A setting under one decoding, with the diversity of each of its evaluations, as far as they have samples."""

    setting: Setting
    diversity: Sequence[Diversity]

    def reading(self, name: str) -> Reading:
        """Return a measure of the diversity."""
        values = [getattr(found, name) for found in self.diversity]
        return Reading(spread([value for value in values if value is not None]), len(self.setting.results))


@dataclass(frozen=True)
class _DecodingComparison:
    """The rows of a section, the best by `measure` first; `printed` are the metrics that have a column."""

    rows: Sequence[DecodingRow]
    known: Measures
    printed: Sequence[Measure]
    notes: Sequence[str]

    def columns(self) -> list[Column]:
        return [
            Column("decoding", right=False, value=lambda row: decoding_label(row.setting.first), raw="decoding"),
            Column("seeds", value=lambda row: row.setting.seeds_label),
            *identity_columns(_setting),
            *metric_columns(self.known, [measure for measure in self.printed if measure.is_metric], _setting),
            *(_other(measure) for measure in self.printed if not measure.is_metric),
            *(_diversity(*column) for column in _DIVERSITY),
            *cost_columns(_setting),
        ]

    def section(self) -> Section:
        setting = self.rows[0].setting
        first = setting.first
        parts = [model_label(first), method_label(first), rate(setting.learning_rate), dataset_label(first)]
        columns = self.columns()
        return Section(" · ".join(parts), cells(columns, self.rows), self.notes, shown(columns))


def _alike(results: Sequence[RunResult]) -> list[list[Setting]]:
    """Group settings with generated texts that share all but their decoding, in order of first appearance."""
    groups: dict[tuple[str, ...], list[RunResult]] = {}
    for result in results:
        if result.has_texts:
            data = (result.get(f"config.{key}") for key in ("dataset", "max_length"))
            source = str(result.get("evaluation.provenance.data_fingerprint"))
            groups.setdefault((result.setting_key, *map(canonical, data), source), []).append(result)
    return [settings(put_together(part)) for group in groups.values() for part, _ in by_versions(group)]


def _comparison(group: Sequence[Setting], asked: str | None) -> _DecodingComparison:
    rows, found = [], []
    for setting in group:
        diversity, troubles = _measure(setting)
        found += troubles
        rows.append(DecodingRow(replace(setting, extra=""), diversity))
    known = measures(result for setting in group for result in setting.results)
    moving = [measure for measure in known.headlines() if _moves(measure, group)]
    ranked = [measure for measure in moving if measure.higher_is_better is not None]
    measure = known[asked] if asked else ranked[0] if ranked else None
    if measure is not None:
        rows.sort(key=lambda row: _order(row, measure))
        found.append(f"In order of {measure.label}.")
    if len({tuple(sorted(of_run.items)) for row in rows for of_run in row.diversity}) > 1:
        found.append("Runs here generated for different items: their numbers can't be compared.")
    printed = moving or known.headlines()
    more = [measure] if measure is not None and measure not in printed else []
    return _DecodingComparison(rows, known, [*printed, *more], found)


def _moves(measure: Measure, group: Sequence[Setting]) -> bool:
    """Whether decoding bears on a metric: whether its values differ."""
    values = [found.mean for setting in group if (found := setting.spread(measure.name)) is not None]
    return bool(values) and max(values) - min(values) > _SAME * max(map(abs, values))


def _measure(setting: Setting) -> tuple[list[Diversity], list[str]]:
    found, troubles = [], []
    for result in setting.results:
        try:
            of_run = read_diversity(result)
        except SamplesError as error:
            troubles.append(f"No diversity of run {result.run_id}: {error}.")
        else:
            found += [of_run] if of_run is not None else []
    return found, troubles


def _order(row: DecodingRow, measure: Measure) -> tuple[bool, float]:
    """Return a key that puts the best first and a row without a value last."""
    value = row.setting.spread(measure.name)
    return (True, 0.0) if value is None else (False, measure.sign * value.mean)


def _setting(row: DecodingRow) -> Setting:
    return row.setting


def _other(measure: Measure) -> Column:
    return Column(measure.label, value=lambda row: reading(row.setting, measure.name), form=form_of(measure))


def _diversity(heading: str, name: str, form: Form) -> Column:
    return Column(heading, value=lambda row: row.reading(name), form=by(form), raw=name)


def _one_decimal(value: float) -> str:
    return f"{value:.1f}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


_DIVERSITY: Sequence[tuple[str, str, Form]] = (
    ("distinct-1", "distinct_1", three_decimals),
    ("distinct-2", "distinct_2", three_decimals),
    ("words", "words", _one_decimal),
    ("empty", "empty", _share),
)


def _footnotes(found: Sequence[_DecodingComparison]) -> list[str]:
    printed: list[Any] = [measure for comparison in found for measure in comparison.printed]
    return [
        "Rows of a section share everything but how text was generated; between sections nothing is compared. Mean ± "
        "sample standard deviation over seeds. Metrics on which decoding has no bearing aren't shown.",
        *notes.units(printed),
        "distinct-1 and distinct-2 are the distinct words and word pairs of all of a run's predictions, as a share of "
        "all: they fall as texts grow longer, so compare them at like words. words is the mean length of a prediction, "
        "empty the share of predictions without a word.",
        "How many predictions were cut at max_new_tokens isn't known: samples don't say how many tokens they took.",
        notes.CSV,
    ]
