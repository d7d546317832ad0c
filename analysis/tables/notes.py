"""What several tables share: the raw columns of a setting, and the runs that no table ranks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..read.results import Record, Selection
from ..read.settings import Setting, dataset_label, model_label
from ..statistics.spread import MIN_CLUSTERS, Interval

METRICS = ("completion_ppl", "completion_nll", "bits_per_byte", "rouge1", "rouge2", "rougeL", "rougeLsum", "bleu")

METRIC_HEADINGS = {
    "completion_ppl": "PPL",
    "completion_nll": "NLL",
    "bits_per_byte": "bits/byte",
    "rouge1": "ROUGE-1",
    "rouge2": "ROUGE-2",
    "rougeL": "ROUGE-L",
    "rougeLsum": "ROUGE-Lsum",
    "bleu": "BLEU",
}

UNITS = (
    "PPL is perplexity a completion token and bits/byte the same likelihood a byte of text, which alone can be "
    "compared between tokenizers: lower is better. ROUGE (F-measure, mean over items) and BLEU (corpus) are fractions "
    "in 0–1: higher is better."
)
INTERVALS = (
    "[low, high] is a 95 % interval for another evaluation set of such scenes or dialogues and, where a row has "
    "several seeds, for other seeds too (two-way jackknife over scenes and seeds, Student's t). It is given from "
    f"{MIN_CLUSTERS} scenes or dialogues on."
)
PAIRED = (
    "Differences are paired: both sides have the same items, compared by scene or dialogue. p is two-sided and "
    "corrected by Holm for the number of tests in its section."
)
SPREADS = "Seeds of one config are one row: mean ± sample standard deviation over its seeds."


def group_by_key(records: Sequence[Record]) -> dict[str, list[Record]]:
    """Group completed runs by comparability key, in order of first appearance."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(str(record.get("comparability_key")), []).append(record)
    return groups


def key_label(key: str) -> str:
    return f"comparability key {key[:10]}"


def told_seeds(setting: Setting) -> str:
    """Return which seeds a setting has runs of, and how many: a lone 0 would read as none."""
    return f"{', '.join(map(str, setting.seeds))} (n={len(setting.seeds)})"


def raw_interval(name: str, interval: Interval | None) -> dict[str, float | None]:
    """Return the ends of an interval as raw columns."""
    low, high = (interval.low, interval.high) if interval else (None, None)
    return {f"{name}_low": low, f"{name}_high": high}


def raw_setting(setting: Setting) -> dict[str, Any]:
    """Return a setting's numbers at full precision, and the runs that they come from."""
    first = setting.first
    row: dict[str, Any] = {
        "comparability_key": first.get("comparability_key"),
        "model": first.get("config.model.name"),
        "scale": first.get("config.model.scale"),
        "quantization": first.get("config.quantization.method"),
        "dataset": first.get("config.dataset.source"),
        "persona": first.get("config.dataset.persona"),
        "method": setting.method,
        "setting": setting.label,
        "learning_rate": setting.learning_rate,
        "seeds": " ".join(map(str, setting.seeds)),
        "runs": len(setting.records),
        "trainable_parameters": first.number("training.trainable_parameters"),
    }
    for metric in METRICS:
        spread = setting.spread(f"metrics.{metric}")
        row[metric] = spread and spread.mean
        row[f"{metric}_sd"] = spread and spread.sd
        row[f"{metric}_n"] = spread.n if spread else 0
    for resource in ("wall_seconds", "cpu_seconds", "group_size"):
        spread = setting.spread(f"resources.{resource}")
        row[resource] = spread and spread.mean
    return row | {
        "device": first.get("resources.device"),
        "train_examples": first.number("data.train_examples"),
        "eval_examples": first.number("data.eval_examples"),
        "run_ids": " ".join(record.run_id for record in setting.records),
    }


def left_out(selection: Selection) -> list[str]:
    """Return a sentence for each run, cell and file that no row shows, with the reason."""
    sentences = [
        f"Not ranked: {_title(record)} {reason(record)}."
        for record in selection.records
        if record.status != "completed"
    ]
    sentences += [f"Not ranked: no run record for {cell}." for cell in selection.absent]
    sentences += [f"Set aside: {problem.path}: {problem.reason}." for problem in selection.problems]
    return sentences


def _title(record: Record) -> str:
    name = record.get("name") or record.folder.name
    return f"{name} ({model_label(record)}, {dataset_label(record)}, run {record.run_id})"


def reason(record: Record) -> str:
    """Say how a run that wasn't completed ended."""
    if record.status == "running":
        return "is still running, or was stopped without a word"
    message = " ".join(str(record.get("failure.message") or record.get("training.pruned") or "").split())
    kind = record.get("failure.type")
    told = ": ".join(str(part) for part in (kind, message) if part)
    if len(told) > 300:
        told = f"{told[:300]}…"
    verb = "was pruned" if record.status == "pruned" else "failed"
    return f"{verb}: {told}" if told else f"{verb}, without a reason in its record"
