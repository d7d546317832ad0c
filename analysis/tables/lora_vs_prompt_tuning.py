"""LoRA against prompt tuning, each at its best, and both against the untuned base."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ..read.comparable import Comparable, comparable, key_label
from ..read.labels import dataset_label, model_label
from ..read.measures import Measure
from ..read.results import RunResult
from ..read.selection import Selection
from ..read.settings import Setting
from ..statistics.measured import Measured, measured_together
from ..statistics.pairs import Pair, pair, together
from ..statistics.ranking import ranking_measure
from . import notes, wording
from .best_settings import BestSetting, best_settings
from .numbers import Reading, count, rate, reading
from .shared_columns import cost_columns, identity_columns, metric_column, metric_columns
from .table import Column, Section, Table, cells, raw_rows, shown

SUMMARY = "for each model and persona: untuned base, best LoRA, best prompt tuning, and how many settings each tried"

BASE, LORA, PROMPT = "none", "lora", "prompt_tuning"
NAMES = {BASE: "untuned base", LORA: "LoRA", PROMPT: "prompt tuning"}
"""The methods compared, by `peft.method`, in the order of their rows."""


@dataclass(frozen=True)
class MethodRow:
    """A method at its best within one comparison."""

    method: str
    best: BestSetting
    measured: Measured
    against_base: Pair
    base: BestSetting | None
    prompt_tuning: BestSetting | None

    @property
    def setting(self) -> Setting:
        return self.best.setting

    @property
    def change(self) -> float | None:
        """The relative change against the base: -0.2 is a fifth less; None for the base itself."""
        if self.base is None or self.method == BASE or self.base.value <= 0:
            return None
        return self.best.value / self.base.value - 1

    @property
    def parameter_ratio(self) -> float | None:
        few = self.prompt_tuning.parameters if self.prompt_tuning else None
        return self.best.parameters / few if few and self.best.parameters is not None else None

    @property
    def against(self) -> str | None:
        """The change against the base in words, or the difference of a metric of which shares mean nothing."""
        if self.method == BASE or self.base is None:
            return None
        if self.change is None:
            return wording.absolute(self.against_base.absolute, self.best.measure.form)
        relative = self.against_base.relative
        return wording.share(self.change, relative.interval if relative else None)


@dataclass(frozen=True)
class _MethodComparison:
    """The methods on one model, by one metric; the results may be compared."""

    group: Comparable
    model: str
    settings: Sequence[Setting]
    measure: Measure
    best: Mapping[str, BestSetting]

    @cached_property
    def items(self) -> dict[str, Measured]:
        found = measured_together([best.setting for best in self.best.values()], [self.measure])
        return {method: of_best[self.measure.name] for method, of_best in zip(self.best, found, strict=True)}

    @cached_property
    def pairs(self) -> dict[tuple[str, str], Pair]:
        """The comparisons of the methods that there are, their p-values corrected together."""
        asked = [(LORA, BASE), (PROMPT, BASE), (LORA, PROMPT)]
        there = [both for both in asked if both[0] in self.best and both[1] in self.best]
        found = together([pair(self.items[first], self.items[second]) for first, second in there])
        return dict(zip(there, found, strict=True))

    @cached_property
    def rows(self) -> list[MethodRow]:
        base, prompt = self.best.get(BASE), self.best.get(PROMPT)
        return [
            MethodRow(method, best, self.items[method], self.pairs.get((method, BASE), Pair()), base, prompt)
            for method, best in self.best.items()
        ]

    @cached_property
    def columns(self) -> list[Column]:
        def reads(row: MethodRow) -> Reading:
            return reading(row.setting, self.measure.name, row.measured.interval)

        others = self.group.measures.without(self.measure)
        return [
            Column("method", right=False, value=lambda row: NAMES[row.method]),
            Column("best setting", right=False, value=lambda row: row.setting.label),
            Column("learning rate", value=lambda row: row.setting.learning_rate, form=rate),
            Column("settings tried", value=lambda row: row.best.tried),
            Column("seeds", value=lambda row: row.setting.seeds_count),
            *identity_columns(_setting),
            Column(value=lambda row: row.best.measure.short, raw="metric"),
            metric_column(self.measure, _setting, f"{self.measure.label} [95 %]", reads),
            Column("against base [95 %]", value=lambda row: row.against),
            Column("p", value=lambda row: row.against_base.corrected, form=wording.p_value),
            *metric_columns(others, others.headlines(), _setting),
            Column("trainable", value=lambda row: row.best.parameters, form=count),
            Column(
                "parameters ÷ prompt tuning", value=lambda row: row.parameter_ratio or None, form=lambda x: f"{x:.3g}×"
            ),
            *cost_columns(_setting),
            Column(value=lambda row: row.best.tried, raw="settings_tried"),
            Column(value=lambda row: row.best.study and row.best.study.name, raw="chosen_by_study"),
            Column(value=lambda row: row.change, raw="change_against_base"),
            Column(value=lambda row: row.against_base, raw="against_base"),
            Column(value=lambda row: row.parameter_ratio, raw="parameters_over_prompt_tuning"),
        ]

    def section(self) -> Section:
        first = self.settings[0].first
        title = f"{self.model} · {dataset_label(first)} ({key_label(self.group.key)})"
        return Section(title, cells(self.columns, self.rows), self._notes(first), shown(self.columns))

    def raw(self) -> list[dict[str, Any]]:
        return raw_rows(self.columns, self.rows)

    def _notes(self, example: RunResult) -> list[str]:
        found = [*_verdict(self), *_chosen(self.best)]
        found += [*wording.losses(best.setting for best in self.best.values()), *wording.troubles(self.items.values())]
        on_items = wording.evaluated_on(item.estimate for item in self.items.values())
        if on_items:
            found += [*on_items, *wording.in_common(self.items.values())]
            found += [*wording.without_training_noise([best.setting for best in self.best.values()])]
        return [*found, *_missing(self, example), *_unmeasured(self)]


def build(selection: Selection) -> Table:
    """Return one section for each model within each set of comparable results."""
    comparisons = [
        comparison for group in comparable(selection.results) for comparison in _comparisons(group, selection)
    ]
    raw = [row for comparison in comparisons for row in comparison.raw()]
    printed = [
        measure
        for comparison in comparisons
        for measure in (comparison.measure, *comparison.group.measures.without(comparison.measure).headlines())
    ]
    has_intervals = any(item.interval for comparison in comparisons for item in comparison.items.values())
    footnotes = [
        *notes.units(printed),
        notes.SPREADS,
        "A method's best setting is the one that a study chose on validation data, else the one with the best mean on "
        "the evaluation items themselves. The latter flatters whoever tried more settings, so compare bests with their "
        "counts (pruned settings count as tried, failed ones don't).",
        *([notes.INTERVALS, notes.PAIRED] if has_intervals else []),
        notes.CSV,
    ]
    return Table(
        title=f"LoRA against prompt tuning: {selection.title}",
        columns=(Column("method", right=False),),
        sections=[comparison.section() for comparison in comparisons],
        notes=[
            *notes.left_out(selection),
            *([] if comparisons else ["No run has been evaluated yet, so there is nothing to compare."]),
            *(footnotes if raw else []),
        ],
        raw=raw,
    )


def _comparisons(group: Comparable, selection: Selection) -> list[_MethodComparison]:
    """Return a comparison for each model, where there is a metric to compare by."""
    by_model: dict[str, list[Setting]] = {}
    for setting in group.settings:
        if setting.has_model:
            by_model.setdefault(model_label(setting.first), []).append(setting)
    found = []
    for model, settings in by_model.items():
        measure = ranking_measure(settings, group.measures)
        if measure is not None:
            best = best_settings(tuple(NAMES), settings, measure, selection.results, selection.studies)
            found.append(_MethodComparison(group, model, settings, measure, best))
    return found


def _setting(row: MethodRow) -> Setting:
    return row.setting


def _chosen(best: Mapping[str, BestSetting]) -> list[str]:
    """Say which settings were chosen on other data, and which are flattered by how they were chosen."""
    found = [
        f"{NAMES[method]} was chosen by the study {setting.study.name} on validation data: nothing here chose it."
        for method, setting in best.items()
        if setting.study is not None
    ]
    flattered = [NAMES[method] for method, setting in best.items() if setting.is_flattered]
    if flattered:
        found.append(wording.flattered(flattered, max(setting.tried for setting in best.values())))
    return found


def _verdict(of: _MethodComparison) -> list[str]:
    """Say which came out ahead, by how much, and how far that can be trusted."""
    lora, prompt = of.best.get(LORA), of.best.get(PROMPT)
    if lora is None or prompt is None:
        return []
    ahead, behind = sorted((LORA, PROMPT), key=lambda method: of.measure.sign * of.best[method].value)
    ratio = next((row.parameter_ratio for row in of.rows if row.method == LORA), None)
    cost = f"; LoRA trains {ratio:.3g} times as many parameters" if ratio else ""
    said = [f"Best {NAMES[ahead]} has {_ahead(of.measure, of.best[ahead].value, of.best[behind].value)} than best "
            f"{NAMES[behind]}{cost}."]  # fmt: skip
    between = of.pairs[LORA, PROMPT]
    if between.relative and between.relative.interval and prompt.value > 0:
        change = wording.share(lora.value / prompt.value - 1, between.relative.interval)
        said.append(f"LoRA against prompt tuning: {change}, p = {wording.p_value(between.corrected)} (Holm).")
    if lora.tried != prompt.tried:
        said.append(
            f"The searches differ: best of {lora.tried} for LoRA, best of {prompt.tried} for prompt tuning; "
            "the larger one has an advantage."
        )
    if min(len(lora.setting.results), len(prompt.setting.results)) == 1:
        said.append("With a single seed on a side, the difference may be seed noise.")
    return said


def _ahead(measure: Measure, better: float, worse: float) -> str:
    """Return by how much a value is better: as a share where both are positive, else as a difference."""
    word = "higher" if measure.higher_is_better else "lower"
    by = f"{100 * abs(better / worse - 1):.1f} %" if better > 0 and worse > 0 else measure.form(abs(better - worse))
    return f"{by} {word} {measure.label}"


def _missing(of: _MethodComparison, example: RunResult) -> list[str]:
    """Say which method has no evaluated run with the metric, and the command that makes one."""
    return [
        f"Missing: {NAMES[method]} has no evaluated run with {of.measure.label} here; "
        f"run `{_command(method, example)}` with the sweep's other settings."
        for method in NAMES
        if method not in of.best
    ]


def _command(method: str, example: RunResult) -> str:
    overrides = [
        f"model={example.get('config.model.name')}",
        f"peft={method}",
        f"dataset={example.get('config.dataset.source')}",
    ]
    if persona := example.get("config.dataset.persona"):
        names = f"[{','.join(map(str, persona))}]" if isinstance(persona, list) else persona
        overrides.append(f"dataset.persona={names}")
    if example.get("config.model.scale") == "tiny":
        overrides.append("model.scale=tiny")
    return shlex.join(["python", "launch.py", *overrides])


def _unmeasured(of: _MethodComparison) -> list[str]:
    without = dict.fromkeys(s.label for s in of.settings if s.method in NAMES and s.spread(of.measure.name) is None)
    beside = sorted({setting.method for setting in of.settings} - set(NAMES))
    found = [f"Without {of.measure.label}, and so not compared: {', '.join(without)}."] if without else []
    return found + ([f"Other methods here, in the leaderboard only: {', '.join(beside)}."] if beside else [])
