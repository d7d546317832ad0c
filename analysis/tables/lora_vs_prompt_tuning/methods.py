"""Model by model: the untuned base, the best LoRA and the best prompt tuning, with what each took."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ...read.labels import dataset_label
from ...read.measures import Measure
from ...read.results import RunResult
from ...read.settings import Setting
from ...statistics.measured import Measured
from ...statistics.pairs import Pair
from ...statistics.spread import spread
from .. import wording
from ..best_settings import BestSetting
from ..numbers import Reading, count, megabytes, rate, reading, seconds, tokens
from ..resources import cpu_seconds, peak_bytes
from ..shared_columns import cost_columns, identity_columns, metric_column, metric_columns
from ..table import Column, Section, cells, raw_rows, shown
from .contest import BASE, LORA, NAMES, PROMPT, Contest, Entrants


@dataclass(frozen=True)
class MethodRow:
    """A method at its best on one model."""

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

    def mean(self, of: Any) -> float | None:
        """Return the mean of a number over the runs that have it."""
        values = [number for result in self.setting.results if (number := of(result)) is not None]
        found = spread(values)
        return None if found is None else found.mean


def sections(contest: Contest) -> list[Section]:
    """Return a section for each model."""
    found = []
    for entrants in contest.entrants:
        columns, rows = _columns(contest, entrants.measure), _rows(contest, entrants)
        runs = [row.setting.run_ids for row in rows]
        title = (
            f"{entrants.model} · {dataset_label(entrants.settings[0].first)} ({contest.group.data.rpartition('(')[2]}"
        )
        found.append(Section(title, cells(columns, rows), _notes(contest, entrants), shown(columns), runs=runs))
    return found


def raw(contest: Contest) -> list[dict[str, Any]]:
    """Return the raw rows of all models."""
    return [
        row
        for entrants in contest.entrants
        for row in raw_rows(_columns(contest, entrants.measure), _rows(contest, entrants))
    ]


def _rows(contest: Contest, entrants: Entrants) -> list[MethodRow]:
    base, prompt = entrants.best.get(BASE), entrants.best.get(PROMPT)
    return [
        MethodRow(
            method,
            best,
            contest.of(entrants, method),
            contest.against_base.get((entrants.model, method), Pair()),
            base,
            prompt,
        )
        for method, best in entrants.best.items()
    ]


def _columns(contest: Contest, measure: Measure) -> list[Column]:
    def reads(row: MethodRow) -> Reading:
        return reading(row.setting, measure.name, row.measured.interval)

    others = contest.group.measures.without(measure)
    printed = [found for found in contest.measures if found.name != measure.name]
    return [
        Column("method", right=False, value=lambda row: NAMES[row.method]),
        Column(value=lambda row: "method", raw="row"),
        Column("best setting", right=False, value=lambda row: row.setting.label),
        Column("learning rate", value=lambda row: row.setting.learning_rate, form=rate),
        Column("settings tried", value=lambda row: row.best.tried),
        Column("seeds", value=lambda row: row.setting.seeds_count),
        *identity_columns(_setting),
        Column(value=lambda row: row.best.measure.short, raw="metric"),
        metric_column(measure, _setting, f"{measure.label} [95 %]", reads),
        Column("against base [95 %]", value=lambda row: row.against),
        Column("p", value=lambda row: row.against_base.corrected, form=wording.p_value),
        *metric_columns(others, printed, _setting),
        Column("trainable", value=lambda row: row.best.parameters, form=count),
        Column("parameters ÷ prompt tuning", value=lambda row: row.parameter_ratio or None, form=lambda x: f"{x:.3g}×"),
        Column("tokens", value=lambda row: row.mean(lambda r: r.number("training.tokens")), form=tokens, raw="tokens"),
        Column("CPU s", value=lambda row: row.mean(cpu_seconds), form=seconds, raw="total_cpu_seconds"),
        Column("peak (MB)", value=lambda row: row.mean(peak_bytes), form=megabytes, raw="peak_bytes"),
        *cost_columns(_setting),
        Column(value=lambda row: row.best.tried, raw="settings_tried"),
        Column(value=lambda row: row.best.study and row.best.study.name, raw="chosen_by_study"),
        Column(value=lambda row: row.change, raw="change_against_base"),
        Column(value=lambda row: row.against_base, raw="against_base"),
        Column(value=lambda row: row.parameter_ratio, raw="parameters_over_prompt_tuning"),
    ]


def _setting(row: MethodRow) -> Setting:
    return row.setting


def _notes(contest: Contest, entrants: Entrants) -> list[str]:
    found = [*_verdict(contest, entrants), *_chosen(entrants)]
    items = [contest.of(entrants, method) for method in entrants.best]
    found += [*wording.losses(best.setting for best in entrants.best.values()), *wording.troubles(items)]
    on_items = wording.evaluated_on(item.estimate for item in items)
    if on_items:
        found += [*on_items, *wording.in_common(items)]
        found += wording.on_common_items(r for best in entrants.best.values() for r in best.setting.results)
        found += wording.without_training_noise([best.setting for best in entrants.best.values()])
    return [*found, *_missing(entrants), *_unmeasured(entrants)]


def _chosen(entrants: Entrants) -> list[str]:
    """Say which settings were chosen on other data, and which are flattered by how they were chosen."""
    found = [
        f"{NAMES[method]} was chosen by the study {setting.study.name} on validation data: nothing here chose it."
        for method, setting in entrants.best.items()
        if setting.study is not None
    ]
    flattered = [NAMES[method] for method, setting in entrants.best.items() if setting.is_flattered]
    if flattered:
        found.append(wording.flattered(flattered, max(setting.tried for setting in entrants.best.values())))
    return found


def _verdict(contest: Contest, entrants: Entrants) -> list[str]:
    """Say which came out ahead, by how much, and how far that can be trusted."""
    lora, prompt = entrants.best.get(LORA), entrants.best.get(PROMPT)
    if lora is None or prompt is None:
        return []
    measure = entrants.measure
    ahead, behind = sorted((LORA, PROMPT), key=lambda method: measure.sign * entrants.best[method].value)
    ratio = lora.parameters / prompt.parameters if lora.parameters and prompt.parameters else None
    cost = f"; LoRA trains {ratio:.3g} times as many parameters" if ratio else ""
    better = _ahead(measure, entrants.best[ahead].value, entrants.best[behind].value)
    said = [f"Best {NAMES[ahead]} has {better} than best {NAMES[behind]}{cost}."]
    between = next(
        duel.pair for duel in contest.duels if duel.entrants is entrants and duel.measure.name == measure.name
    )
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


def _missing(entrants: Entrants) -> list[str]:
    """Say which method has no evaluated run with the metric, and the command that makes one."""
    return [
        f"Missing: {NAMES[method]} has no evaluated run with {entrants.measure.label} here; "
        f"run `{_command(method, entrants.settings[0].first)}` with the sweep's other settings."
        for method in NAMES
        if method not in entrants.best
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


def _unmeasured(entrants: Entrants) -> Sequence[str]:
    measure = entrants.measure
    without = dict.fromkeys(s.label for s in entrants.settings if s.method in NAMES and s.spread(measure.name) is None)
    beside = sorted({setting.method for setting in entrants.settings} - set(NAMES))
    found = [f"Without {measure.label}, and so not compared: {', '.join(without)}."] if without else []
    return found + ([f"Other methods here, in the leaderboard only: {', '.join(beside)}."] if beside else [])
