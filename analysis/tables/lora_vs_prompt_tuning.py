"""LoRA against prompt tuning, each at its best, and both against the untuned base."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from ..read.results import Record, Selection
from ..read.settings import Setting, dataset_label, has_model, model_label, settings
from ..statistics.measured import Measured, measured
from ..statistics.pairs import Pair, pair, together
from . import numbers, wording
from .best_settings import METRIC, Contender, contenders
from .notes import (
    INTERVALS,
    PAIRED,
    SPREADS,
    UNITS,
    group_by_key,
    key_label,
    left_out,
    raw_interval,
    raw_setting,
)
from .table import Column, Section, Table

SUMMARY = "for each model and persona: untuned base, best LoRA, best prompt tuning, and how many settings each tried"

NAMES = {"none": "untuned base", "lora": "LoRA", "prompt_tuning": "prompt tuning"}
"""The methods compared, by `peft.method`, in the order of their rows."""

COLUMNS = (
    Column("method", right=False),
    Column("best setting", right=False),
    Column("learning rate"),
    Column("settings tried"),
    Column("seeds"),
    Column("PPL [95 %]"),
    Column("against base [95 %]"),
    Column("p"),
    Column("bits/byte"),
    Column("ROUGE-1"),
    Column("ROUGE-L"),
    Column("BLEU"),
    Column("trainable"),
    Column("parameters ÷ prompt tuning"),
)
_PPL = METRIC.removeprefix("metrics.")


def build(selection: Selection) -> Table:
    """Return one section for each model within each comparability key."""
    sections, raw = [], []
    for key, records in group_by_key(selection.completed()).items():
        by_model: dict[str, list[Record]] = {}
        for record in filter(has_model, records):
            by_model.setdefault(model_label(record), []).append(record)
        for model, of_model in by_model.items():
            section, rows = _section(key, model, of_model, selection)
            sections.append(section)
            raw += rows
    notes = [] if sections else ["No run has completed yet, so there is nothing to compare."]
    if raw:
        notes += [
            UNITS,
            SPREADS,
            "A method's best setting is the one that a study chose on validation data, else the one with the lowest "
            "mean perplexity on the evaluation items themselves. The latter flatters whoever tried more settings, so "
            "compare bests with their counts (pruned settings count as tried, failed ones don't).",
            *([INTERVALS, PAIRED] if any(row["completion_ppl_low"] is not None for row in raw) else []),
            "The CSV of the same name has full precision and the run ids behind each row.",
        ]
    return Table(
        title=f"LoRA against prompt tuning: {selection.title}",
        columns=COLUMNS,
        sections=sections,
        notes=[*left_out(selection), *notes],
        raw=raw,
    )


def _section(
    key: str, model: str, records: Sequence[Record], selection: Selection
) -> tuple[Section, list[dict[str, Any]]]:
    found = settings(records)
    present = contenders(tuple(NAMES), records, selection.records, selection.studies)
    items = {method: measured(contender.best, _PPL) for method, contender in present.items()}
    pairs = _pairs(items)
    rows = [_row(method, present, items[method], pairs.get((method, "none"), Pair())) for method in present]
    raw = [
        {
            **raw_setting(contender.best),
            **raw_interval("completion_ppl", items[method].interval),
            "settings_tried": contender.tried,
            "chosen_by_study": contender.study and contender.study.name,
            "ppl_change_against_base": _change(contender, present.get("none")) if method != "none" else None,
            **pairs.get((method, "none"), Pair()).raw("ppl_against_base"),
            "parameters_over_prompt_tuning": _parameter_ratio(contender, present.get("prompt_tuning")),
        }
        for method, contender in present.items()
    ]
    notes = [*_verdict(present, pairs.get(("lora", "prompt_tuning"))), *_chosen(present), *_certainty(present, items)]
    notes += [*_missing(present, records[0]), *_unmeasured(found)]
    title = f"{model} · {dataset_label(records[0])} ({key_label(key)})"
    return Section(title, rows, notes), raw


def _pairs(items: Mapping[str, Measured]) -> dict[tuple[str, str], Pair]:
    """Return the comparisons of the methods that there are, their p-values corrected together."""
    asked = [("lora", "none"), ("prompt_tuning", "none"), ("lora", "prompt_tuning")]
    present = [both for both in asked if both[0] in items and both[1] in items]
    found = together([pair(items[first], items[second]) for first, second in present])
    return dict(zip(present, found, strict=True))


def _chosen(present: Mapping[str, Contender]) -> list[str]:
    """Say which settings were chosen on other data, and which are flattered by how they were chosen."""
    notes = [
        f"{NAMES[method]} was chosen by the study {contender.study.name} on validation data: nothing here chose it."
        for method, contender in present.items()
        if contender.study is not None
    ]
    flattered = [NAMES[method] for method, contender in present.items() if contender.flattered]
    if flattered:
        notes.append(
            f"{' and '.join(flattered)}: chosen by these very numbers, so flattered, and p-values are too small. A "
            "study (hydra/sweeper=optuna) chooses on validation data."
        )
    return notes


def _certainty(present: Mapping[str, Contender], items: Mapping[str, Measured]) -> list[str]:
    notes = list(dict.fromkeys(found.trouble for found in items.values() if found.trouble))
    estimates = [found.estimate for found in items.values() if found.estimate]
    if estimates:
        notes.append(wording.evaluated_on(estimates[0]))
        notes += wording.without_training_noise([contender.best for contender in present.values()], _PPL)
    return notes


def _row(method: str, present: Mapping[str, Contender], of_row: Measured, against: Pair) -> list[str]:
    contender = present[method]
    best, runs = contender.best, len(contender.best.records)
    ratio = _parameter_ratio(contender, present.get("prompt_tuning"))
    change = _change(contender, present.get("none")) if method != "none" else None
    rates = ("rouge1", "rougeL", "bleu")
    return [
        NAMES[method],
        best.label,
        numbers.rate(best.learning_rate),
        str(contender.tried),
        str(runs),
        numbers.with_spread(best.spread(METRIC), numbers.perplexity, runs, of_row.interval),
        numbers.ABSENT
        if change is None
        else wording.share(change, against.relative.interval if against.relative else None),
        wording.p_value(against.corrected),
        numbers.with_spread(best.spread("metrics.bits_per_byte"), numbers.three_decimals, runs),
        *(numbers.with_spread(best.spread(f"metrics.{rate}"), numbers.three_decimals, runs) for rate in rates),
        numbers.count(contender.parameters),
        numbers.ABSENT if not ratio else f"{ratio:.3g}×",
    ]


def _change(contender: Contender, base: Contender | None) -> float | None:
    """Return the relative change of perplexity against the base: -0.2 is a fifth lower."""
    return contender.ppl / base.ppl - 1 if base and base.ppl else None


def _parameter_ratio(contender: Contender, prompt_tuning: Contender | None) -> float | None:
    few = prompt_tuning.parameters if prompt_tuning else None
    return contender.parameters / few if few and contender.parameters is not None else None


def _verdict(present: Mapping[str, Contender], between: Pair | None) -> list[str]:
    """Say which came out ahead, by how much, and how far that can be trusted."""
    lora, prompt = present.get("lora"), present.get("prompt_tuning")
    if lora is None or prompt is None:
        return []
    ahead, behind = sorted(("lora", "prompt_tuning"), key=lambda method: present[method].ppl)
    less = 1 - present[ahead].ppl / present[behind].ppl
    ratio = _parameter_ratio(lora, prompt)
    cost = f"; LoRA trains {ratio:.3g} times as many parameters" if ratio else ""
    said = [f"Best {NAMES[ahead]} has {100 * less:.1f} % lower perplexity than best {NAMES[behind]}{cost}."]
    if between and between.relative and between.relative.interval:
        change = wording.share(present["lora"].ppl / present["prompt_tuning"].ppl - 1, between.relative.interval)
        said.append(f"LoRA against prompt tuning: {change}, p = {wording.p_value(between.corrected)} (Holm).")
    if lora.tried != prompt.tried:
        said.append(
            f"The searches differ: best of {lora.tried} for LoRA, best of {prompt.tried} for prompt tuning; "
            f"the larger one has an advantage."
        )
    if min(len(lora.best.records), len(prompt.best.records)) == 1:
        said.append("With a single seed on a side, the difference can't be told from seed noise.")
    return said


def _missing(present: Mapping[str, Contender], example: Record) -> list[str]:
    """Say which method has no completed run with a perplexity, and the command that makes one."""
    return [
        f"Missing: {NAMES[method]} has no completed run with a perplexity here; "
        f"run `{_command(method, example)}` with the sweep's other settings."
        for method in NAMES
        if method not in present
    ]


def _command(method: str, example: Record) -> str:
    overrides = [
        f"model={example.get('config.model.name')}",
        f"peft={method}",
        f"dataset={example.get('config.dataset.source')}",
    ]
    if example.get("config.dataset.persona"):
        overrides.append(f"dataset.persona={example.get('config.dataset.persona')}")
    if example.get("config.model.scale") == "tiny":
        overrides.append("model.scale=tiny")
    return shlex.join(["python", "launch.py", *overrides])


def _unmeasured(found: Sequence[Setting]) -> list[str]:
    without = dict.fromkeys(s.label for s in found if s.method in NAMES and s.spread(METRIC) is None)
    beside = sorted({setting.method for setting in found} - set(NAMES))
    notes = [f"Without a perplexity, and so not compared: {', '.join(without)}."] if without else []
    return notes + ([f"Other methods here, in the leaderboard only: {', '.join(beside)}."] if beside else [])
