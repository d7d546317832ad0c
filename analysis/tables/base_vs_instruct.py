"""Base models against their chat-tuned counterparts, everything else being equal."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ..read.measures import measure
from ..read.results import Selection
from ..read.settings import Setting, dataset_label, has_model, model_label, settings
from ..statistics.measured import Measured, maximizes, measured_all
from ..statistics.pairs import Pair, pair, together
from . import numbers, wording
from .notes import (
    INTERVALS,
    METRIC_HEADINGS,
    PAIRED,
    SPREADS,
    UNITS,
    group_by_key,
    key_label,
    left_out,
)
from .table import Column, Section, Table

SUMMARY = "each base model against its instruct counterpart under the same settings, with intervals and corrected p"

METRICS = ("bits_per_byte", "rouge1", "rougeL", "bleu")
"""compared: all that don't count tokens, of which the two may have other ones"""
COLUMNS = (
    Column("base", right=False),
    Column("instruct", right=False),
    Column("method", right=False),
    Column("learning rate"),
    Column("seeds"),
    Column("metric", right=False),
    Column("base [95 %]"),
    Column("instruct [95 %]"),
    Column("instruct − base"),
    Column("in %"),
    Column("p"),
    Column("better", right=False),
)
_OF_THE_MODEL = ("model_fingerprint", "template_fingerprint")


def applies(selection: Selection) -> bool:
    """Whether a base and its counterpart were both run."""
    records = [record for record in selection.completed() if has_model(record)]
    names = {str(record.get("config.model.name")) for record in records}
    return any(str(record.get("config.model.counterpart")) in names for record in records)


@dataclass(frozen=True)
class Row:
    """A base and an instruct model with one setting, in one metric."""

    base: Setting
    instruct: Setting
    metric: str
    of_base: Measured
    of_instruct: Measured
    pair: Pair


def build(selection: Selection) -> Table:
    """Return one section for each comparability key in which there are pairs."""
    sections, raw, alone = [], [], 0
    for key, records in group_by_key(selection.completed()).items():
        found = settings([record for record in records if has_model(record)])
        pairs = _pairs(found)
        alone += len(found) - 2 * len(pairs)
        if pairs:
            rows = _rows(pairs)
            title = f"{' / '.join(dict.fromkeys(dataset_label(record) for record in records))} ({key_label(key)})"
            ids = [[record.run_id for side in (row.base, row.instruct) for record in side.records] for row in rows]
            sections.append(Section(title, [_cells(row) for row in rows], _notes(rows), runs=ids))
            raw += [_raw(row) for row in rows]
    return Table(
        title=f"Base against instruct: {selection.title}",
        columns=COLUMNS,
        sections=sections,
        notes=[*left_out(selection), *_footnotes(raw, alone)],
        raw=raw,
    )


def _pairs(found: Sequence[Setting]) -> list[tuple[Setting, Setting]]:
    """Return base and instruct settings whose cards name one another and that differ in nothing else."""
    by_kind: dict[tuple[Any, ...], Setting] = {_place(setting): setting for setting in found}
    pairs = []
    for setting in found:
        model = setting.config.get("model")
        if isinstance(model, Mapping) and model.get("instruct") is False and model.get("counterpart"):
            other = by_kind.get((model["counterpart"], *_place(setting)[1:]))
            if other is not None and other.first.get("config.model.instruct") is True:
                pairs.append((setting, other))
    return pairs


def _place(setting: Setting) -> tuple[Any, ...]:
    """Return a setting's model, its scale, and all that has nothing to do with the model."""
    config = {key: value for key, value in setting.config.items() if key not in ("model", "fingerprint")}
    fingerprints = setting.config.get("fingerprint", {})
    config["fingerprint"] = {key: value for key, value in fingerprints.items() if key not in _OF_THE_MODEL}
    name, scale = (setting.first.get(f"config.model.{key}") for key in ("name", "scale"))
    return name, scale, json.dumps(config, sort_keys=True, default=str)


def _rows(pairs: Sequence[tuple[Setting, Setting]]) -> list[Row]:
    """Return a row a pair and metric; all p-values of the section are one family."""
    rows = []
    for base, instruct in pairs:
        of_base, of_instruct = measured_all(base, METRICS), measured_all(instruct, METRICS)
        rows += [
            Row(base, instruct, name, of_base[name], of_instruct[name], pair(of_instruct[name], of_base[name]))
            for name in METRICS
            if base.spread(f"metrics.{name}") and instruct.spread(f"metrics.{name}")
        ]
    corrected = together([row.pair for row in rows])
    return [replace(row, pair=found) for row, found in zip(rows, corrected, strict=True)]


def _cells(row: Row) -> list[str]:
    dotted, form = f"metrics.{row.metric}", measure(row.metric).form
    base, instruct = row.base.spread(dotted), row.instruct.spread(dotted)
    seeds = [len(setting.records) for setting in (row.base, row.instruct)]
    change = _change(row)
    interval = row.pair.relative.interval if row.pair.relative else None
    return [
        model_label(row.base.first),
        model_label(row.instruct.first),
        row.base.label,
        numbers.rate(row.base.learning_rate),
        str(seeds[0]) if seeds[0] == seeds[1] else f"{seeds[0]}, {seeds[1]}",
        METRIC_HEADINGS[row.metric],
        numbers.with_spread(base, form, seeds[0], row.of_base.interval),
        numbers.with_spread(instruct, form, seeds[1], row.of_instruct.interval),
        _difference(row),
        numbers.ABSENT if change is None else wording.share(change, interval),
        wording.p_value(row.pair.corrected),
        _better(row),
    ]


def _difference(row: Row) -> str:
    form = measure(row.metric).form
    return wording.absolute(row.pair.absolute, form) if row.pair.absolute else wording.signed(form)(_means(row)[1])


def _means(row: Row) -> tuple[float, float]:
    """Return the base's mean, and how much more the instruct model's is."""
    base, instruct = (setting.spread(f"metrics.{row.metric}") for setting in (row.base, row.instruct))
    assert base is not None and instruct is not None, "rows have both"
    return base.mean, instruct.mean - base.mean


def _change(row: Row) -> float | None:
    base, more = _means(row)
    return more / base if base > 0 else None


def _better(row: Row) -> str:
    if row.pair.corrected is None:
        return "not tested"
    if row.pair.corrected > 0.05:
        return "not shown"
    return "instruct" if (_means(row)[1] > 0) == maximizes(row.metric) else "base"


def _notes(rows: Sequence[Row]) -> list[str]:
    estimates = [row.of_base.estimate for row in rows if row.of_base.estimate]
    notes = [wording.evaluated_on(estimates[0])] if estimates else ["No evaluation items (samples.jsonl): not tested."]
    sides = {id(setting): setting for row in rows for setting in (row.base, row.instruct)}
    notes += wording.without_training_noise(list(sides.values()), "rougeL") if estimates else []
    troubles = (trouble for row in rows for trouble in (row.of_base.trouble, row.of_instruct.trouble, row.pair.trouble))
    return [*notes, *dict.fromkeys(trouble for trouble in troubles if trouble)]


def _footnotes(raw: Sequence[Mapping[str, Any]], alone: int) -> list[str]:
    if not raw:
        return [
            "No base model was run beside its instruct counterpart with the same settings: run "
            "`python launch.py -m model=gemma3_270m,gemma3_270m_it` with the settings to compare."
        ]
    notes = [UNITS, SPREADS, INTERVALS, PAIRED]
    if alone:
        notes.append(f"{alone} settings have no counterpart with the same settings, and aren't shown.")
    notes.append(
        "The two see different prompts, each in its own form (a chat template or plain text): the pair is compared as "
        "it is used. Perplexities a token are left out, since tokenizers may differ."
    )
    return notes


def _raw(row: Row) -> dict[str, Any]:
    base, more = _means(row)
    first = row.base.first
    return {
        "comparability_key": first.get("comparability_key"),
        "base": first.get("config.model.name"),
        "instruct": row.instruct.first.get("config.model.name"),
        "scale": first.get("config.model.scale"),
        "quantization": first.get("config.quantization.method"),
        "setting": row.base.label,
        "learning_rate": row.base.learning_rate,
        "metric": row.metric,
        "base_value": base,
        "instruct_value": base + more,
        "instruct_over_base": _change(row),
        **row.pair.raw("instruct_base"),
        "base_run_ids": " ".join(record.run_id for record in row.base.records),
        "instruct_run_ids": " ".join(record.run_id for record in row.instruct.records),
    }
