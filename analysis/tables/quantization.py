"""What quantizing the base model costs in likelihood, and what it saves."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..read.comparability import base_label
from ..read.results import Record, Selection
from ..read.settings import Setting, dataset_label, has_model, settings
from ..statistics.measured import Measured, measured
from ..statistics.pairs import Pair, pair, together
from ..statistics.spread import Spread
from . import numbers, wording
from .notes import (
    INTERVALS,
    PAIRED,
    SPREADS,
    group_by_key,
    key_label,
    left_out,
    raw_interval,
    raw_setting,
    told_seeds,
)
from .table import Column, Section, Table

SUMMARY = "for each model and method: likelihood, memory and time under each quantization, against none"

COLUMNS = (
    Column("method", right=False),
    Column("learning rate"),
    Column("quantization", right=False),
    Column("seeds"),
    Column("PPL [95 %]"),
    Column("PPL against none"),
    Column("p"),
    Column("weights (MB)"),
    Column("weights saved"),
    Column("peak (MB)"),
    Column("peak saved"),
    Column("CPU seconds"),
)
NONE = "none"
ORDER = (NONE, "int8", "nf4", "fp4")
_PPL, _WEIGHTS = "metrics.completion_ppl", "resources.weights_bytes"


def applies(selection: Selection) -> bool:
    """Whether the completed runs have more than one quantization."""
    return len({_method(record) for record in selection.completed() if has_model(record)}) > 1


@dataclass(frozen=True)
class Row:
    """A setting under one quantization, beside the same setting with none."""

    setting: Setting
    unquantized: Setting | None

    @property
    def quantization(self) -> str:
        """The method with its own settings, such as `nf4 double_quant=true`."""
        config = self.setting.first.get("config.quantization", {})
        own = [f"{key}={json.dumps(value)}" for key, value in config.items() if key != "method"]
        return " ".join([_method(self.setting.first), *own])

    def change(self, number: Spread | None, unquantized: Spread | None) -> float | None:
        """Return how much a number differs from what it is without quantization, as a share of that."""
        if number is None or unquantized is None or not unquantized.mean or self.setting is self.unquantized:
            return None
        return number.mean / unquantized.mean - 1

    def change_of(self, dotted: str) -> float | None:
        other = self.unquantized.spread(dotted) if self.unquantized else None
        return self.change(self.setting.spread(dotted), other)

    def change_of_peak(self) -> float | None:
        return self.change(_peak(self.setting), _peak(self.unquantized) if self.unquantized else None)


def build(selection: Selection) -> Table:
    """Return one section for each model within each comparability key."""
    sections, raw = [], []
    for key, records in group_by_key(selection.completed()).items():
        by_model: dict[str, list[Record]] = {}
        for record in filter(has_model, records):
            by_model.setdefault(base_label(record), []).append(record)
        for model, of_model in by_model.items():
            section, rows = _section(f"{model} · {dataset_label(of_model[0])} ({key_label(key)})", of_model)
            sections.append(section)
            raw += rows
    return Table(
        title=f"Quantization: {selection.title}",
        columns=COLUMNS,
        sections=sections,
        notes=[*left_out(selection), *_notes(selection, raw)],
        raw=raw,
    )


def _notes(selection: Selection, raw: Sequence[Mapping[str, Any]]) -> list[str]:
    if not raw:
        return ["No run has completed yet, so there is nothing to compare."]
    notes = [] if applies(selection) else ["All runs have the same quantization: sweep quantization=none,int8,nf4,fp4."]
    notes += [
        "PPL is perplexity a completion token: lower is better. Changes and savings are against the same setting with "
        "quantization=none.",
        SPREADS,
    ]
    if any(row["completion_ppl_low"] is not None for row in raw):
        notes += [INTERVALS, PAIRED]
    notes.append(
        "weights are what the loaded base model takes, scales included; peak is the most memory held while the run's "
        "group was loaded, trained and evaluated: of the GPUs where it ran on one, else of the whole process, whose "
        "first group has up to 200 MB less, since libraries are loaded as they are needed. 1 MB is 10⁶ bytes."
    )
    if len({row["group_size"] for row in raw}) > 1:
        notes.append("Runs were trained in groups of different sizes, which changes their peaks.")
    notes.append("The CSV of the same name has full precision and the run ids behind each row.")
    return notes


def _section(title: str, records: Sequence[Record]) -> tuple[Section, list[dict[str, Any]]]:
    compared = _compared(settings(records))
    items = {id(row.setting): measured(row.setting, _PPL.removeprefix("metrics.")) for row in compared}
    pairs = together([_pair(row, items) for row in compared])
    rows, raw = [], []
    for row, found in zip(compared, pairs, strict=True):
        of_row = items[id(row.setting)]
        rows.append(_cells(row, of_row, found))
        raw.append(_raw(row, of_row, found))
    notes = list(dict.fromkeys(found.trouble for found in items.values() if found.trouble))
    estimates = [found.estimate for found in items.values() if found.estimate]
    if estimates:
        notes.append(wording.evaluated_on(estimates[0]))
        notes += wording.without_training_noise([row.setting for row in compared], "completion_ppl")
    alone = [row for row in raw if row["quantization"] != NONE and row["unquantized_run_ids"] is None]
    if alone:
        notes.append(
            f"{len(alone)} of {len(rows)} have no run with quantization=none and otherwise the same settings, so no "
            "change is told."
        )
    return Section(title, rows, notes), raw


def _compared(found: Sequence[Setting]) -> list[Row]:
    """Put settings that differ in their quantization alone below one another, unquantized first."""
    alike: dict[str, list[Setting]] = {}
    for setting in found:
        config = {key: value for key, value in setting.config.items() if key != "quantization"}
        alike.setdefault(json.dumps(config, sort_keys=True, default=str), []).append(setting)
    rows = []
    for group in alike.values():
        group.sort(key=lambda setting: _place(_method(setting.first)))
        unquantized = next((setting for setting in group if _method(setting.first) == NONE), None)
        rows += [Row(setting, unquantized) for setting in group]
    return rows


def _pair(row: Row, items: Mapping[int, Measured]) -> Pair:
    """Compare a quantized setting with the same one unquantized."""
    if row.unquantized is None or row.unquantized is row.setting:
        return Pair()
    return pair(items[id(row.setting)], items[id(row.unquantized)])


def _cells(row: Row, of_row: Measured, found: Pair) -> list[str]:
    setting, runs = row.setting, len(row.setting.records)
    return [
        setting.label,
        numbers.rate(setting.learning_rate),
        row.quantization,
        told_seeds(setting),
        numbers.with_spread(setting.spread(_PPL), numbers.perplexity, runs, of_row.interval),
        _change(row.change_of(_PPL), found),
        wording.p_value(found.corrected),
        _megabytes(setting.spread(_WEIGHTS)),
        _saving(row.change_of(_WEIGHTS)),
        _megabytes(_peak(setting)),
        _saving(row.change_of_peak()),
        numbers.seconds(setting.spread("resources.cpu_seconds")),
    ]


def _raw(row: Row, of_row: Measured, found: Pair) -> dict[str, Any]:
    weights, peak = row.setting.spread(_WEIGHTS), _peak(row.setting)
    of_none = row.unquantized
    return {
        **raw_setting(row.setting),
        "quantization_settings": row.quantization,
        **raw_interval("completion_ppl", of_row.interval),
        "ppl_change_against_none": row.change_of(_PPL),
        **found.raw("ppl_against_none"),
        "weights_bytes": weights and weights.mean,
        "weights_change_against_none": row.change_of(_WEIGHTS),
        "peak_bytes": peak and peak.mean,
        "peak_change_against_none": row.change_of_peak(),
        "unquantized_run_ids": " ".join(record.run_id for record in of_none.records) if of_none else None,
    }


def _peak(setting: Setting) -> Spread | None:
    """Return the peak of the GPUs where the runs had one, else that of the process."""
    on_gpu = str(setting.first.get("resources.device", "")).startswith("cuda")
    return setting.spread("resources.peak_device_bytes" if on_gpu else "resources.peak_rss_bytes")


def _method(record: Record) -> str:
    return str(record.get("config.quantization.method") or NONE)


def _place(method: str) -> int:
    return ORDER.index(method) if method in ORDER else len(ORDER)


def _megabytes(value: Spread | None) -> str:
    return numbers.ABSENT if value is None else f"{value.mean / 1e6:,.1f}"


def _change(value: float | None, found: Pair) -> str:
    interval = found.relative.interval if found.relative else None
    return numbers.ABSENT if value is None else wording.share(value, interval)


def _saving(change: float | None) -> str:
    return numbers.ABSENT if change is None else f"{-100 * change:.1f} %"
