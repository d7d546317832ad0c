"""LoRA against prompt tuning, each at its best, and both against the untuned base."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from analysis import numbers
from analysis.records import Record, Selection
from analysis.settings import Setting, dataset_label, model_label, settings
from analysis.table import Column, Section, Table
from analysis.tables.common import SPREADS, UNITS, group_by_key, key_label, left_out, raw_setting

SUMMARY = "for each model and persona: untuned base, best LoRA, best prompt tuning, and how many settings each tried"

NAMES = {"none": "untuned base", "lora": "LoRA", "prompt_tuning": "prompt tuning"}
"""The methods compared, by `peft.method`, in the order of their rows."""

COLUMNS = (
    Column("method", right=False),
    Column("best setting", right=False),
    Column("learning rate"),
    Column("settings tried"),
    Column("seeds"),
    Column("PPL"),
    Column("against base"),
    Column("bits/byte"),
    Column("ROUGE-1"),
    Column("ROUGE-L"),
    Column("BLEU"),
    Column("trainable"),
    Column("parameters ÷ prompt tuning"),
)
_METRIC = "metrics.completion_ppl"


@dataclass(frozen=True)
class Contender:
    """A method's best setting by mean perplexity; `tried` counts the distinct settings it was chosen from."""

    best: Setting
    tried: int

    @property
    def ppl(self) -> float:
        spread = self.best.spread(_METRIC)
        assert spread is not None
        return spread.mean

    @property
    def parameters(self) -> float | None:
        return self.best.first.number("training.trainable_parameters")


def build(selection: Selection) -> Table:
    """Return one section for each model within each comparability key."""
    sections, raw = [], []
    for key, records in group_by_key(selection.completed()).items():
        by_model: dict[str, list[Record]] = {}
        for record in records:
            by_model.setdefault(model_label(record), []).append(record)
        for model, of_model in by_model.items():
            section, rows = _section(key, model, of_model, selection.records)
            sections.append(section)
            raw += rows
    notes = [] if sections else ["No run has completed yet, so there is nothing to compare."]
    if raw:
        notes += [
            UNITS,
            SPREADS,
            "A method's best setting is the one with the lowest mean perplexity on the evaluation items themselves. "
            "That flatters whoever tried more settings, so compare bests with their counts (pruned settings count as "
            "tried, failed ones don't).",
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
    key: str, model: str, records: Sequence[Record], everything: Sequence[Record]
) -> tuple[Section, list[dict[str, Any]]]:
    found = settings(records)
    pruned = _pruned_alongside(records, everything)
    contenders = {method: _contender(method, found, pruned) for method in NAMES}
    present = {method: contender for method, contender in contenders.items() if contender is not None}
    rows = [_row(method, contender, present) for method, contender in present.items()]
    raw = [
        {
            **raw_setting(contender.best),
            "settings_tried": contender.tried,
            "ppl_change_against_base": _change(contender, present.get("none")) if method != "none" else None,
            "parameters_over_prompt_tuning": _parameter_ratio(contender, present.get("prompt_tuning")),
        }
        for method, contender in present.items()
    ]
    notes = [*_verdict(present), *_missing(present, records[0]), *_unmeasured(found)]
    title = f"{model} · {dataset_label(records[0])} ({key_label(key)})"
    return Section(title, rows, notes), raw


def _contender(method: str, found: Sequence[Setting], pruned: Sequence[Record]) -> Contender | None:
    tried = [setting for setting in found if setting.method == method and setting.spread(_METRIC)]
    if not tried:
        return None
    known = {_config_key(setting) for setting in tried}
    gave_up = {_config_key(setting) for setting in settings(pruned) if setting.method == method} - known
    best = min((Contender(setting, 0) for setting in tried), key=lambda contender: contender.ppl)
    return Contender(best.best, len(tried) + len(gave_up))


def _config_key(setting: Setting) -> str:
    # A pruned run may carry no comparability key or fingerprint: it never was evaluated.
    config = {key: value for key, value in setting.config.items() if key not in ("comparability_key", "fingerprint")}
    return json.dumps(config, sort_keys=True, default=str)


def _pruned_alongside(records: Sequence[Record], everything: Sequence[Record]) -> list[Record]:
    first = records[0]
    place = (model_label(first), dataset_label(first))
    return [
        record
        for record in everything
        if record.status == "pruned"
        and (model_label(record), dataset_label(record)) == place
        and record.get("comparability_key") in (None, first.get("comparability_key"))
    ]


def _row(method: str, contender: Contender, present: Mapping[str, Contender]) -> list[str]:
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
        numbers.with_spread(best.spread(_METRIC), numbers.perplexity, runs),
        numbers.ABSENT if change is None else numbers.percent(change),
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


def _verdict(present: Mapping[str, Contender]) -> list[str]:
    """Say which came out ahead, by how much, and how far that can be trusted."""
    lora, prompt = present.get("lora"), present.get("prompt_tuning")
    if lora is None or prompt is None:
        return []
    ahead, behind = sorted(("lora", "prompt_tuning"), key=lambda method: present[method].ppl)
    less = 1 - present[ahead].ppl / present[behind].ppl
    ratio = _parameter_ratio(lora, prompt)
    cost = f"; LoRA trains {ratio:.3g} times as many parameters" if ratio else ""
    said = [f"Best {NAMES[ahead]} has {100 * less:.1f} % lower perplexity than best {NAMES[behind]}{cost}."]
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
    without = [setting for setting in found if setting.method in NAMES and setting.spread(_METRIC) is None]
    beside = sorted({setting.method for setting in found} - set(NAMES))
    notes = [f"Without a perplexity, and so not compared: {', '.join(s.label for s in without)}."] if without else []
    return notes + ([f"Other methods here, in the leaderboard only: {', '.join(beside)}."] if beside else [])
