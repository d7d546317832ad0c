"""The leaderboard: every completed run, ranked among those that it may be compared with."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from analysis import numbers
from analysis.records import Record, Selection
from analysis.settings import Setting, dataset_label, model_label, settings
from analysis.statistics import Interval
from analysis.table import Column, Section, Table
from analysis.tables.common import (
    INTERVALS,
    SPREADS,
    UNITS,
    group_by_key,
    key_label,
    left_out,
    ppl_interval,
    raw_setting,
    told_seeds,
)

SUMMARY = "all completed runs, ranked by likelihood within each set of comparable runs"

COLUMNS = (
    Column("rank"),
    Column("model", right=False),
    Column("method", right=False),
    Column("learning rate"),
    Column("seeds"),
    Column("trainable"),
    Column("PPL [95 %]"),
    Column("bits/byte"),
    Column("ROUGE-1"),
    Column("ROUGE-L"),
    Column("BLEU"),
    Column("items"),
    Column("seconds"),
)
_RATES = ("rouge1", "rougeL", "bleu")
_SORTS = {
    "bits_per_byte": "bits per byte, since models with different tokenizers stand here",
    "completion_ppl": "completion perplexity",
    "rougeL": "ROUGE-L, since no run measured the likelihood",
}


def build(selection: Selection) -> Table:
    """Return the leaderboard: one section a comparability key, since no ranking may mix two."""
    sections, raw = [], []
    for key, records in group_by_key(selection.completed()).items():
        section, rows = _section(key, records)
        sections.append(section)
        raw += rows
    notes = [] if sections else ["No run has completed yet."]
    return Table(
        title=f"Leaderboard: {selection.title}",
        columns=COLUMNS,
        sections=sections,
        notes=[*notes, *left_out(selection), *(_footnotes(raw) if raw else [])],
        raw=raw,
    )


def _footnotes(raw: Sequence[dict[str, Any]]) -> list[str]:
    notes = [UNITS, SPREADS]
    if any(row["completion_ppl_low"] is not None for row in raw):
        notes.append(INTERVALS)
    notes.append(
        "trainable counts parameters; items are evaluation items; seconds are wall time on the device named, mean "
        "over seeds, and runs that were trained together in one group each show the group's time."
    )
    notes.append("The CSV of the same name has full precision and the run ids behind each row.")
    return notes


def _section(key: str, records: Sequence[Record]) -> tuple[Section, list[dict[str, Any]]]:
    found = settings(records)
    metric = _sort_metric(found)
    ranked = sorted(found, key=lambda setting: _sort_value(setting, metric))
    rows, raw, notes = [], [], [f"Ranked by {_SORTS[metric]}." if metric else "Nothing to rank by: no metric."]
    unranked = 0
    for place, setting in enumerate(ranked, start=1):
        has_value = metric is not None and setting.spread(f"metrics.{metric}") is not None
        unranked += not has_value
        interval, trouble = ppl_interval(setting)
        notes += trouble
        rank = place if has_value else None
        rows.append(_row(rank, setting, interval))
        raw.append(
            {
                "rank": rank,
                **raw_setting(setting),
                "completion_ppl_low": interval and interval.low,
                "completion_ppl_high": interval and interval.high,
            }
        )
    if metric and unranked:
        notes.append(f"{unranked} without {metric} stand last, without a rank.")
    labels = " / ".join(dict.fromkeys(dataset_label(record) for record in records))
    return Section(f"{labels} ({key_label(key)})", rows, notes), raw


def _row(rank: int | None, setting: Setting, interval: Interval | None) -> list[str]:
    first, runs = setting.first, len(setting.records)
    seconds = numbers.seconds(setting.spread("resources.wall_seconds"))
    device = first.get("resources.device")
    return [
        numbers.ABSENT if rank is None else str(rank),
        model_label(first),
        setting.label,
        numbers.rate(setting.learning_rate),
        told_seeds(setting),
        numbers.count(first.number("training.trainable_parameters")),
        numbers.with_spread(setting.spread("metrics.completion_ppl"), numbers.perplexity, runs, interval),
        numbers.with_spread(setting.spread("metrics.bits_per_byte"), numbers.three_decimals, runs),
        *(numbers.with_spread(setting.spread(f"metrics.{rate}"), numbers.three_decimals, runs) for rate in _RATES),
        numbers.count(first.number("data.eval_examples")),
        f"{seconds} ({device})" if device else seconds,
    ]


def _sort_metric(found: Sequence[Setting]) -> str | None:
    """Return what to rank by: perplexity among models that share a tokenizer, else bits per byte.

    A record doesn't name its tokenizer, so two models count as two tokenizers; bits per byte are right either way.
    """
    models = {
        f"{setting.first.get('config.model.name')} {setting.first.get('config.model.scale')}" for setting in found
    }
    likelihood = "bits_per_byte" if len(models) > 1 else "completion_ppl"
    has = [metric for metric in (likelihood, "rougeL") if any(setting.spread(f"metrics.{metric}") for setting in found)]
    return has[0] if has else None


def _sort_value(setting: Setting, metric: str | None) -> tuple[bool, float]:
    """Return a key that puts the best first and a setting without a value last."""
    value = setting.spread(f"metrics.{metric}") if metric else None
    if value is None:
        return True, 0.0
    return False, -value.mean if metric == "rougeL" else value.mean
