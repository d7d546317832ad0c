"""The leaderboard: every completed run, ranked among those that it may be compared with, as far as ranks are known."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from persona_sweeps.wording import counted

from ..read.comparability import base_label, differences
from ..read.measures import measure
from ..read.results import Record, Selection
from ..read.settings import Setting, dataset_label, has_model, model_label, settings
from ..statistics.ranking import Placed, placed
from . import numbers, references, wording
from .notes import (
    INTERVALS,
    METRIC_HEADINGS,
    SPREADS,
    UNITS,
    group_by_key,
    key_label,
    left_out,
    raw_interval,
    raw_setting,
)
from .options import TableOptions
from .table import Column, Section, Table

SUMMARY = "all completed runs, ranked by likelihood within each set of comparable runs, ranks as ranges"

_SORTS = {
    "metrics.bits_per_byte": "bits per byte, since models with different tokenizers stand here",
    "metrics.completion_ppl": "completion perplexity",
    "metrics.rougeL": "ROUGE-L, since no run measured the likelihood",
}
_BESIDE = ("completion_ppl", "bits_per_byte", "rougeL", "bleu")
_RANKS = (
    "rank is the range of ranks that can't be excluded at 95 %, of all rows at once: rows are compared in pairs on the "
    "same items, with Holm's correction (Mogstad, Romano, Shaikh & Wilhelm 2024). A row that may be first is tied with "
    "best. p is of the difference from the best row, corrected likewise."
)


def build(selection: Selection, options: TableOptions | None = None) -> Table:
    """Return the leaderboard: one section a comparability key, since no ranking may mix two.

    `options.metric` is what to rank by; where it counts tokens, each model has a section of its own.
    """
    metric = options.metric if options else None
    sections, raw = [], []
    groups = group_by_key(selection.completed())
    reference: Record | None = None
    for key, records in groups.items():
        apart = _apart(reference, records[0]) if reference else []
        reference = reference or records[0]
        for part in _parts(records, metric):
            section, rows = _section(key, part, metric, apart)
            sections.append(section)
            raw += rows
    notes = [] if sections else ["No run has completed yet."]
    return Table(
        title=f"Leaderboard: {selection.title}",
        columns=_columns(metric or "metrics.completion_ppl", []),
        sections=sections,
        notes=[*notes, *left_out(selection), *(_footnotes(raw) if raw else [])],
        raw=raw,
    )


def _apart(reference: Record, record: Record) -> list[str]:
    told = "; ".join(differences(reference, record))
    return [f"Not in one ranking with the first section: {told}."] if told else []


def _footnotes(raw: Sequence[dict[str, Any]]) -> list[str]:
    notes = [UNITS, SPREADS, _RANKS]
    if any(row["low"] is not None for row in raw):
        notes.append(INTERVALS)
    notes.append("The CSV of the same name has full precision, all metrics, standardized effects and the run ids.")
    return notes


def _parts(records: Sequence[Record], metric: str | None) -> list[list[Record]]:
    """Return the records that may be ranked together: of a metric that counts tokens, those of one model."""
    if metric is None or not measure(metric.removeprefix("metrics.")).a_token:
        return [list(records)]
    by_model: dict[str, list[Record]] = {}
    for record in records:
        by_model.setdefault(base_label(record), []).append(record)
    return list(by_model.values())


def _section(
    key: str, records: Sequence[Record], asked: str | None, apart: Sequence[str]
) -> tuple[Section, list[dict[str, Any]]]:
    found = settings(records)
    metric = asked or _sort_metric(found)
    rows = placed(found, metric) if metric else placed(found, "metrics.completion_ppl")
    models = list(dict.fromkeys(model_label(record) for record in records if has_model(record)))
    labels = " / ".join(dict.fromkeys(dataset_label(record) for record in records))
    title = f"{models[0]} · {labels}" if len(models) == 1 else labels
    shown = metric or "metrics.completion_ppl"
    section = Section(
        f"{title} ({key_label(key)})",
        [_row(row, shown, models) for row in rows],
        [*apart, *_notes(rows, metric, asked)],
        _columns(shown, models),
    )
    return section, [_raw(row, shown) for row in rows]


def _notes(rows: Sequence[Placed], metric: str | None, asked: str | None) -> list[str]:
    if metric is None:
        return ["Nothing to rank by: no metric."]
    name = metric.removeprefix("metrics.")
    notes = [f"Ranked by {measure(name).label if asked else _SORTS[metric]}."]
    ranked = [row for row in rows if row.best is not None]
    notes += _certainty(ranked, name, metric != name)
    notes += dict.fromkeys(row.measured.trouble for row in rows if row.measured.trouble)
    notes += dict.fromkeys(f"Not tested: {row.against_best.trouble}." for row in rows if row.against_best.trouble)
    if len(ranked) < len(rows):
        notes.append(f"{counted(len(rows) - len(ranked), 'row')} without {name}: last, and without a rank.")
    return notes + references.notes([row.setting for row in rows])


def _certainty(ranked: Sequence[Placed], name: str, on_items: bool) -> list[str]:
    """Say on how much the ranks rest, and what they can't speak of."""
    found = [row.measured.estimate for row in ranked if row.measured.estimate is not None]
    trusted = [estimate for estimate in found if estimate.trusted]
    notes = []
    if found:
        notes.append(wording.evaluated_on([*trusted, *found][0]))
        notes += wording.without_training_noise([row.setting for row in ranked], name)
    if trusted and len(trusted) < len(found):
        notes.append(
            f"Of {len(found) - len(trusted)} of {len(found)} rows a few scenes or dialogues decide the value, too few "
            "for an interval or a test: no rank of theirs can be excluded."
        )
    if not all(row.stepwise for row in ranked):
        notes.append(
            "So many rows are compared that Holm's first step alone was taken (Bonferroni's correction): p-values are "
            "up to twice as large as his further steps would give, and a few more ranks stay possible."
        )
    if on_items and len(found) < len(ranked):
        notes.append(
            f"{len(ranked) - len(found)} of {len(ranked)} have no usable evaluation items (samples.jsonl), so "
            "nothing can be said of how sure their ranks are: the order is that of the means and may be chance."
        )
    return notes


def _columns(metric: str, models: Sequence[str]) -> list[Column]:
    name = metric.removeprefix("metrics.")
    return [
        Column("rank"),
        *([Column("model", right=False)] if len(models) > 1 else []),
        Column("method", right=False),
        Column("learning rate"),
        Column("seeds"),
        Column(f"{METRIC_HEADINGS.get(name, name)} [95 %]"),
        Column("against best [95 %]"),
        Column("p", right=False),
        *(Column(METRIC_HEADINGS[other]) for other in _beside(metric, models)),
    ]


def _beside(metric: str, models: Sequence[str]) -> list[str]:
    """Return the metrics told beside the ranked one: perplexities only where all have one tokenizer."""
    return [
        other for other in _BESIDE if f"metrics.{other}" != metric and not (len(models) > 1 and measure(other).a_token)
    ]


def _row(row: Placed, metric: str, models: Sequence[str]) -> list[str]:
    setting, form = row.setting, measure(metric.removeprefix("metrics.")).form
    runs = len(setting.records)
    others = [(other, measure(other).form) for other in _beside(metric, models)]
    return [
        row.told_rank,
        *([model_label(setting.first)] if len(models) > 1 else []),
        references.marked(setting),
        numbers.rate(setting.learning_rate),
        str(runs),
        numbers.with_spread(setting.spread(metric), form, runs, row.measured.interval),
        _against(row, metric),
        _p(row),
        *(numbers.with_spread(setting.spread(f"metrics.{other}"), form, runs) for other, form in others),
    ]


def _against(row: Placed, metric: str) -> str:
    """Return the difference from the best: of perplexities, whose logarithms are compared, as a share."""
    name = metric.removeprefix("metrics.")
    if name.endswith("_ppl"):
        return wording.relative(row.against_best.relative)
    return wording.absolute(row.against_best.absolute, measure(name).form)


def _p(row: Placed) -> str:
    corrected = row.against_best.corrected
    if corrected is None:
        return numbers.ABSENT
    tied = " tied with best" if row.best == 1 else ""
    return f"{wording.p_value(corrected)}{tied}"


def _raw(row: Placed, metric: str) -> dict[str, Any]:
    interval = row.measured.interval
    return {
        "rank": row.told_rank if row.best is not None else None,
        "reference": references.is_reference(row.setting),
        "best_rank": row.best,
        "worst_rank": row.worst,
        "ranked_by": metric.removeprefix("metrics."),
        "low": interval and interval.low,
        "high": interval and interval.high,
        **raw_setting(row.setting),
        **(raw_interval("completion_ppl", interval if metric == "metrics.completion_ppl" else None)),
        **row.against_best.raw("against_best"),
    }


def _sort_metric(found: Sequence[Setting]) -> str | None:
    """Return what to rank by: perplexity among models that share a tokenizer, else bits per byte."""
    models = {base_label(setting.first) for setting in found if has_model(setting.first)}
    likelihood = "metrics.bits_per_byte" if len(models) > 1 else "metrics.completion_ppl"
    return next((metric for metric in (likelihood, "metrics.rougeL") if any(s.spread(metric) for s in found)), None)
