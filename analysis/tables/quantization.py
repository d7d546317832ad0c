"""What quantizing the base model costs in quality, and what it saves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from ..read.comparable import Comparable, key_label
from ..read.labels import base_label, dataset_label, has_model
from ..read.measures import Measure
from ..read.results import RunResult
from ..read.selection import Selection
from ..read.settings import Setting
from ..statistics.measured import Measured, measured_together
from ..statistics.pairs import Pair, pair, together
from ..statistics.ranking import ranking_measure
from ..statistics.shared_items import on_shared_items
from ..statistics.spread import Spread, spread
from . import notes, wording
from .numbers import Reading, megabytes, rate, reading, seconds
from .resources import cpu_seconds, peak_bytes, weights_bytes
from .shared_columns import cost_columns, identity_columns, metric_column, metric_columns
from .table import Column, Section, Table, cells, raw_rows, shown

SUMMARY = "for each model and method: quality, memory and time under each quantization, against none"

NONE = "none"
HEAD = (Column("method", right=False), Column("quantization", right=False))
"""of a table without rows"""


def applies(selection: Selection) -> bool:
    """Whether the evaluated runs have more than one quantization."""
    return len({_method(result) for result in selection.scored() if has_model(result)}) > 1


@dataclass(frozen=True)
class QuantizedRow:
    """A setting under one quantization, beside the same setting with none, by one metric."""

    setting: Setting
    unquantized: Setting | None
    measure: Measure
    measured: Measured = Measured()
    pair: Pair = Pair()

    @property
    def quantization(self) -> str:
        """The method with its own settings, such as `nf4 double_quant=true`."""
        config = self.setting.first.part("config.quantization")
        own = [f"{key}={json.dumps(value)}" for key, value in config.items() if key != "method"]
        return " ".join([_method(self.setting.first), *own])

    @cached_property
    def value(self) -> Spread | None:
        return self.setting.spread(self.measure.name)

    @property
    def change(self) -> float | None:
        """How much the metric differs from what it is without quantization, as a share of that."""
        other = self.unquantized.spread(self.measure.name) if self.unquantized else None
        return self._share(self.value, other)

    @property
    def against_none(self) -> str | None:
        """The change in words, or the difference of a metric of which shares mean nothing."""
        if self.unquantized is None or self.unquantized is self.setting:
            return None
        if self.change is None:
            return wording.absolute(self.pair.absolute, self.measure.form)
        return wording.share(self.change, self.pair.relative.interval if self.pair.relative else None)

    @cached_property
    def weights(self) -> Spread | None:
        return _mean(self.setting, weights_bytes)

    @cached_property
    def peak(self) -> Spread | None:
        return _mean(self.setting, peak_bytes)

    @property
    def weights_change(self) -> float | None:
        return self._share(self.weights, _mean(self.unquantized, weights_bytes) if self.unquantized else None)

    @property
    def peak_change(self) -> float | None:
        return self._share(self.peak, _mean(self.unquantized, peak_bytes) if self.unquantized else None)

    def _share(self, number: Spread | None, unquantized: Spread | None) -> float | None:
        if number is None or unquantized is None or unquantized.mean <= 0 or self.setting is self.unquantized:
            return None
        return number.mean / unquantized.mean - 1


def build(selection: Selection) -> Table:
    """Return one section for each model within each set of comparable results."""
    sections, raw, printed = [], [], []
    for group in on_shared_items(selection.results):
        by_model: dict[str, list[Setting]] = {}
        for setting in group.settings:
            if setting.has_model:
                by_model.setdefault(base_label(setting.first), []).append(setting)
        for model, settings in by_model.items():
            measure = ranking_measure(settings, group.measures)
            if measure is not None:
                section, rows = _section(model, settings, measure, group)
                sections.append(section)
                raw += rows
                printed.append(measure)
    return Table(
        title=f"Quantization: {selection.title}",
        columns=HEAD,
        sections=sections,
        notes=[*notes.left_out(selection), *_notes(selection, raw, printed)],
        raw=raw,
    )


def _notes(selection: Selection, raw: Sequence[Mapping[str, Any]], printed: Sequence[Measure]) -> list[str]:
    if not raw:
        return ["No run has been evaluated yet, so there is nothing to compare."]
    found = [] if applies(selection) else ["All runs have the same quantization: sweep quantization=none,int8,nf4,fp4."]
    found += [
        *notes.units(printed),
        "Changes and savings are against the same setting with quantization=none.",
        notes.SPREADS,
    ]
    if any(f"{row['metric']}_low" in row for row in raw):
        found += [notes.INTERVALS, notes.PAIRED]
    found.append(
        "weights are what the loaded base model takes, scales included; peak is the most memory held while the run's "
        "group was loaded, trained and evaluated: of the GPUs where it ran on one, else of the whole process, whose "
        "first group has up to 200 MB less, since libraries are loaded as they are needed. 1 MB is 10⁶ bytes."
    )
    if len({row["group_size"] for row in raw}) > 1:
        found.append("Runs were trained in groups of different sizes, which changes their peaks.")
    return [*found, notes.CSV]


def _section(
    model: str, settings: Sequence[Setting], measure: Measure, group: Comparable
) -> tuple[Section, list[dict[str, Any]]]:
    rows = _compared(settings, measure)
    columns = _columns(measure, group)
    found = wording.troubles(row.measured for row in rows)
    on_items = wording.evaluated_on(row.measured.estimate for row in rows)
    if on_items:
        found += wording.on_common_items(result for row in rows for result in row.setting.results)
        found += [
            *on_items,
            *wording.in_common(row.measured for row in rows),
            *wording.without_training_noise([row.setting for row in rows]),
        ]
    alone = [row for row in rows if _method(row.setting.first) != NONE and row.unquantized is None]
    if alone:
        found.append(
            f"{len(alone)} of {len(rows)} have no run with quantization=none and otherwise the same settings, so they "
            "have no change."
        )
    title = f"{model} · {dataset_label(settings[0].first)} ({key_label(group.key)})"
    return Section(title, cells(columns, rows), found, shown(columns)), raw_rows(columns, rows)


def _compared(found: Sequence[Setting], measure: Measure) -> list[QuantizedRow]:
    """Put settings that differ in their quantization alone below one another, unquantized first, and compare them."""
    alike: dict[str, list[Setting]] = {}
    for setting in found:
        alike.setdefault(setting.config_but("quantization"), []).append(setting)
    rows = []
    for group in alike.values():
        unquantized = next((setting for setting in group if _method(setting.first) == NONE), None)
        group.sort(key=_order)
        rows += [QuantizedRow(setting, unquantized, measure, Measured()) for setting in group]
    measured_rows = measured_together([row.setting for row in rows], [measure])
    rows = [replace(row, measured=of_row[measure.name]) for row, of_row in zip(rows, measured_rows, strict=True)]
    items = {id(row.setting): row.measured for row in rows}
    pairs = together([_pair(row, items) for row in rows])
    return [replace(row, pair=of_row) for row, of_row in zip(rows, pairs, strict=True)]


def _order(setting: Setting) -> tuple[bool, float]:
    """Return a key that puts the unquantized first, then the larger weights."""
    weights = _mean(setting, weights_bytes)
    return _method(setting.first) != NONE, -weights.mean if weights else 0.0


def _pair(row: QuantizedRow, items: Mapping[int, Measured]) -> Pair:
    """Compare a quantized setting with the same one unquantized."""
    if row.unquantized is None or row.unquantized is row.setting:
        return Pair()
    return pair(row.measured, items[id(row.unquantized)])


def _columns(measure: Measure, group: Comparable) -> list[Column]:
    def reads(row: QuantizedRow) -> Reading:
        return reading(row.setting, measure.name, row.measured.interval)

    return [
        Column("method", right=False, value=lambda row: row.setting.label),
        Column("learning rate", value=lambda row: row.setting.learning_rate, form=rate),
        Column("quantization", right=False, value=lambda row: row.quantization),
        Column("seeds", value=lambda row: row.setting.seeds_label),
        *identity_columns(_setting),
        Column(value=lambda row: row.quantization, raw="quantization_settings"),
        Column(value=lambda row: row.measure.short, raw="metric"),
        metric_column(measure, _setting, f"{measure.label} [95 %]", reads),
        Column(f"{measure.label} against none", value=lambda row: row.against_none),
        Column("p", value=lambda row: row.pair.corrected, form=wording.p_value),
        Column("weights (MB)", value=lambda row: _mean_of(row.weights), form=megabytes, raw="weights_bytes"),
        Column("weights saved", value=lambda row: row.weights_change, form=_saving, raw="weights_change_against_none"),
        Column("peak (MB)", value=lambda row: _mean_of(row.peak), form=megabytes, raw="peak_bytes"),
        Column("peak saved", value=lambda row: row.peak_change, form=_saving, raw="peak_change_against_none"),
        Column("CPU seconds", value=lambda row: _mean_of(_mean(row.setting, cpu_seconds)), form=seconds),
        *metric_columns(group.measures.without(measure), (), _setting),
        *cost_columns(_setting),
        Column(value=lambda row: row.change, raw="change_against_none"),
        Column(value=lambda row: row.pair, raw="against_none"),
        Column(
            value=lambda row: " ".join(row.unquantized.run_ids) if row.unquantized else None, raw="unquantized_run_ids"
        ),
    ]


def _setting(row: QuantizedRow) -> Setting:
    return row.setting


def _mean(setting: Setting, of: Any) -> Spread | None:
    values = [of(result) for result in setting.results]
    return spread([value for value in values if value is not None])


def _mean_of(found: Spread | None) -> float | None:
    return found.mean if found else None


def _method(result: RunResult) -> str:
    return str(result.get("config.quantization.method") or NONE)


def _saving(change: float) -> str:
    return f"{-100 * change:.1f} %"
