"""Generation settings against metrics, between runs that share everything else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..read.results import Record, Selection
from ..read.samples import SamplesError
from ..read.settings import Setting, dataset_label, model_label, settings
from ..read.where import plain
from ..statistics.diversity import Diversity, read_diversity
from ..statistics.spread import Spread, spread
from . import numbers
from .notes import left_out, raw_setting, told_seeds
from .options import TableOptions
from .table import Column, Section, Table

SUMMARY = "generation settings (greedy, temperature, top_p, …) against metrics and diversity, all else being equal"

COLUMNS = (
    Column("generation", right=False),
    Column("seeds"),
    Column("ROUGE-1"),
    Column("ROUGE-L"),
    Column("BLEU"),
    Column("distinct-1"),
    Column("distinct-2"),
    Column("words"),
    Column("empty"),
)
_METRICS = ("rouge1", "rougeL", "bleu")
_MEASURED = ("distinct_1", "distinct_2", "words", "empty")
_DEFAULT = "metrics.rougeL"
_SCORERS = ("rouge-score", "rouge_score", "sacrebleu", "evaluate")
_LESS_IS_BETTER = ("nll", "ppl", "bits_per_byte")


def applies(selection: Selection) -> bool:
    """Whether some completed runs differ in their generation settings alone."""
    return any(len(group) > 1 for group in _alike(selection.completed()))


def build(selection: Selection, options: TableOptions | None = None) -> Table:
    """Return one section a set of runs that differ in `config.generation` alone, the best by the metric first.

    The comparability key has the decoding in it, so rows of a section have different ones by intent.
    """
    metric = (options.metric if options else None) or _DEFAULT
    groups = _alike(selection.completed())
    sections, raw = [], []
    for group in groups:
        if len(group) > 1:
            section, rows = _section(group, metric)
            sections.append(section)
            raw += rows
    alone = sum(len(group) == 1 for group in groups)
    notes = [f"{alone} settings were run with one generation setting only, and so aren't shown."] if alone else []
    return Table(
        title=f"Generation settings: {selection.title}",
        columns=_columns(metric),
        sections=sections,
        notes=[*left_out(selection), *notes, *(_footnotes() if sections else [_HOW])],
        raw=raw,
    )


_HOW = (
    "No completed runs differ in their generation settings alone: sweep them, such as "
    "generation=nucleus generation.temperature=0.7,1.0."
)


@dataclass(frozen=True)
class _Row:
    """A setting with the diversity of each of its runs, as far as they have samples."""

    setting: Setting
    measured: Sequence[Diversity]

    def value(self, dotted: str) -> Spread | None:
        """Return a record's number, or with `diversity.` a measure of the samples, over the setting's runs."""
        if not dotted.startswith("diversity."):
            return self.setting.spread(dotted)
        values = [getattr(found, dotted.removeprefix("diversity.")) for found in self.measured]
        return spread([value for value in values if value is not None])


def _alike(records: Sequence[Record]) -> list[list[Setting]]:
    """Group settings that share all but their generation, in order of first appearance."""
    groups: dict[str, list[Setting]] = {}
    for setting in settings(records):
        rest = {k: v for k, v in setting.config.items() if k not in ("generation", "comparability_key")}
        packages = setting.first.get("provenance.packages")
        rest["packages"] = [packages.get(name) for name in _SCORERS] if isinstance(packages, Mapping) else None
        groups.setdefault(json.dumps(rest, sort_keys=True, default=str), []).append(setting)
    return list(groups.values())


def _section(group: Sequence[Setting], metric: str) -> tuple[Section, list[dict[str, Any]]]:
    rows, notes = [], []
    for setting in group:
        measured, trouble = _measure(setting)
        notes += trouble
        rows.append(_Row(setting, measured))
    rows.sort(key=lambda row: _place(row, metric))
    notes += _items_differ(rows)
    first = group[0].first
    method = group[0].label.removesuffix(group[0].extra).strip()
    title = f"{model_label(first)} · {method} · {numbers.rate(group[0].learning_rate)} · {dataset_label(first)}"
    return Section(title, [_cells(row, metric) for row in rows], notes), [_raw(row) for row in rows]


def _measure(setting: Setting) -> tuple[list[Diversity], list[str]]:
    found, trouble = [], []
    for record in setting.records:
        try:
            of_run = read_diversity(record)
        except SamplesError as error:
            trouble.append(f"No diversity of run {record.run_id}: {error}.")
        else:
            found += [of_run] if of_run is not None else []
    return found, trouble


def _place(row: _Row, metric: str) -> tuple[bool, float]:
    """Return a key that puts the best first and a row without a value last."""
    value = row.value(metric)
    if value is None:
        return True, 0.0
    return False, value.mean if metric.endswith(_LESS_IS_BETTER) else -value.mean


def _items_differ(rows: Sequence[_Row]) -> list[str]:
    items = {tuple(sorted(found.items)) for row in rows for found in row.measured}
    return ["Runs here generated for different items: their numbers can't be compared."] if len(items) > 1 else []


def generation_label(record: Record) -> str:
    """Return a run's generation settings: `nucleus temperature=0.8 top_p=0.95 max_new_tokens=64`."""
    config = record.get("config.generation", {})
    if not isinstance(config, Mapping):
        return "?"
    told = [f"{key}={plain(value)}" for key, value in sorted(config.items(), reverse=True) if key != "method"]
    return " ".join([str(config.get("method", "?")), *told])


def _cells(row: _Row, metric: str) -> list[str]:
    runs = len(row.setting.records)
    shown = [f"metrics.{name}" for name in _METRICS] + [f"diversity.{name}" for name in _MEASURED]
    forms = [numbers.three_decimals] * 5 + [_one_decimal, _share]
    values = [numbers.with_spread(row.value(key), form, runs) for key, form in zip(shown, forms, strict=True)]
    more = [] if metric in shown else [numbers.with_spread(row.value(metric), _four_digits, runs)]
    return [generation_label(row.setting.first), told_seeds(row.setting), *values, *more]


def _columns(metric: str) -> tuple[Column, ...]:
    shown = metric in [f"metrics.{name}" for name in _METRICS]
    return COLUMNS if shown else (*COLUMNS, Column(metric.removeprefix("metrics.")))


def _raw(row: _Row) -> dict[str, Any]:
    raw: dict[str, Any] = {"generation": generation_label(row.setting.first), **raw_setting(row.setting)}
    for name in _MEASURED:
        value = row.value(f"diversity.{name}")
        raw |= {name: value and value.mean, f"{name}_sd": value and value.sd, f"{name}_n": value.n if value else 0}
    return raw


def _footnotes() -> list[str]:
    return [
        "Rows of a section share everything but how text was generated, the best by the metric first; between sections "
        "nothing is compared. Mean ± sample standard deviation over seeds. Likelihood doesn't depend on generation.",
        "distinct-1 and distinct-2 are the distinct words and word pairs of all of a run's predictions, as a share of "
        "all: they fall as texts grow longer, so compare them at like words. words is the mean length of a prediction, "
        "empty the share of predictions without a word.",
        "How many predictions were cut at max_new_tokens isn't known: samples don't tell how many tokens they took.",
        "The CSV of the same name has full precision and the run ids behind each row.",
    ]


def _one_decimal(value: float) -> str:
    return f"{value:.1f}"


def _four_digits(value: float) -> str:
    return f"{value:.4g}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"
