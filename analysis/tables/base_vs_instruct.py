"""Base models against their chat-tuned counterparts, everything else being equal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..read.comparable import Comparable, comparable
from ..read.labels import has_model, model_label
from ..read.measures import Measure
from ..read.selection import Selection
from ..read.settings import Setting
from ..statistics.measured import Measured, measured_together
from ..statistics.pairs import Pair, pair, together
from . import notes, wording
from .numbers import Reading, rate, reading
from .table import Column, Section, Table, cells, raw_rows, shown

SUMMARY = "each base model against its instruct counterpart under the same settings, with intervals and corrected p"


def applies(selection: Selection) -> bool:
    """Whether a base and its counterpart were both evaluated."""
    results = [result for result in selection.scored() if has_model(result)]
    names = {str(result.get("config.model.name")) for result in results}
    return any(str(result.get("config.model.counterpart")) in names for result in results)


@dataclass(frozen=True)
class ModelPair:
    """A base and an instruct model with one setting, in one metric; the pair's difference is instruct less base."""

    base: Setting
    instruct: Setting
    measure: Measure
    of_base: Measured
    of_instruct: Measured
    pair: Pair

    @property
    def seeds(self) -> str:
        counts = [str(len(setting.results)) for setting in (self.base, self.instruct)]
        return ", ".join(dict.fromkeys(counts))

    def reading(self, setting: Setting) -> Reading:
        of_side = self.of_base if setting is self.base else self.of_instruct
        return reading(setting, self.measure.name, of_side.interval)

    @property
    def means(self) -> tuple[float, float]:
        """The means of base and instruct."""
        base, instruct = (setting.spread(self.measure.name) for setting in (self.base, self.instruct))
        assert base is not None and instruct is not None, "rows have both"
        return base.mean, instruct.mean

    @property
    def change(self) -> float | None:
        """How much larger the instruct model's is, as a share of the base's."""
        base, instruct = self.means
        return (instruct - base) / base if base > 0 else None


def build(selection: Selection) -> Table:
    """Return one section for each set of comparable results in which there are pairs."""
    sections, raw, alone = [], [], 0
    shown_metrics: list[Measure] = []
    for group in comparable(selection.results):
        settings = [setting for setting in group.settings if setting.has_model]
        pairs = _pairs(settings)
        alone += len(settings) - 2 * len(pairs)
        rows = _rows(pairs, _compared(group))
        if rows:
            ids = [[*row.base.run_ids, *row.instruct.run_ids] for row in rows]
            sections.append(Section(group.data, cells(COLUMNS, rows), _notes(rows), runs=ids))
            raw += raw_rows(COLUMNS, rows)
            shown_metrics += [row.measure for row in rows]
    return Table(
        title=f"Base against instruct: {selection.title}",
        columns=shown(COLUMNS),
        sections=sections,
        notes=[*notes.left_out(selection), *_footnotes(shown_metrics, alone)],
        raw=raw,
    )


def _compared(group: Comparable) -> list[Measure]:
    """Return the headline metrics that don't count tokens, of which the two may have other ones."""
    return [m for m in group.measures.headlines() if not m.per_token and m.higher_is_better is not None]


def _pairs(found: Sequence[Setting]) -> list[tuple[Setting, Setting]]:
    """Return base and instruct settings whose cards name one another and that differ in nothing else."""
    by_name = {(*_card(setting, "name"), setting.config_but("model")): setting for setting in found}
    pairs = []
    for setting in found:
        if setting.first.get("config.model.instruct") is False and setting.first.get("config.model.counterpart"):
            other = by_name.get((*_card(setting, "counterpart"), setting.config_but("model")))
            if other is not None and other.first.get("config.model.instruct") is True:
                pairs.append((setting, other))
    return pairs


def _card(setting: Setting, key: str) -> tuple[str, str]:
    """Return a model's name, or that of its counterpart, and its scale."""
    return str(setting.first.get(f"config.model.{key}")), str(setting.first.get("config.model.scale"))


def _rows(pairs: Sequence[tuple[Setting, Setting]], metrics: Sequence[Measure]) -> list[ModelPair]:
    """Return a row a pair and metric; all p-values of the section are one family."""
    rows = []
    measured = measured_together([setting for both in pairs for setting in both], metrics)
    for place, (base, instruct) in enumerate(pairs):
        of_base, of_instruct = measured[2 * place : 2 * place + 2]
        for metric in metrics:
            if base.spread(metric.name) and instruct.spread(metric.name):
                sides = of_base[metric.name], of_instruct[metric.name]
                rows.append(ModelPair(base, instruct, metric, *sides, pair(sides[1], sides[0])))
    corrected = together([row.pair for row in rows])
    return [replace(row, pair=found) for row, found in zip(rows, corrected, strict=True)]


def _difference(row: ModelPair) -> str:
    base, instruct = row.means
    form = row.measure.form
    return wording.absolute(row.pair.absolute, form) if row.pair.absolute else wording.signed(form)(instruct - base)


def _share(row: ModelPair) -> str | None:
    interval = row.pair.relative.interval if row.pair.relative else None
    return None if row.change is None else wording.share(row.change, interval)


COLUMNS = [
    Column(value=lambda row: row.base.first.key, raw="comparability_key"),
    Column("base", right=False, value=lambda row: model_label(row.base.first)),
    Column("instruct", right=False, value=lambda row: model_label(row.instruct.first)),
    Column(value=lambda row: row.base.first.get("config.model.name"), raw="base"),
    Column(value=lambda row: row.instruct.first.get("config.model.name"), raw="instruct"),
    Column(value=lambda row: row.base.first.get("config.model.scale"), raw="scale"),
    Column(value=lambda row: row.base.first.get("config.quantization.method"), raw="quantization"),
    Column("method", right=False, value=lambda row: row.base.label, raw="setting"),
    Column("learning rate", value=lambda row: row.base.learning_rate, form=rate, raw="learning_rate"),
    Column("seeds", value=lambda row: row.seeds),
    Column("metric", right=False, value=lambda row: row.measure.label),
    Column(value=lambda row: row.measure.short, raw="metric"),
    Column("base [95 %]", value=lambda row: row.reading(row.base).text(row.measure.form)),
    Column("instruct [95 %]", value=lambda row: row.reading(row.instruct).text(row.measure.form)),
    Column("instruct − base", value=_difference),
    Column("in %", value=_share),
    Column(value=lambda row: row.means[0], raw="base_value"),
    Column(value=lambda row: row.means[1], raw="instruct_value"),
    Column(value=lambda row: row.change, raw="instruct_over_base"),
    Column("p", value=lambda row: row.pair.corrected, form=wording.p_value),
    Column("better", right=False, value=lambda row: wording.verdict(row.pair, row.measure, "instruct", "base")),
    Column(value=lambda row: row.pair, raw="instruct_base"),
    Column(value=lambda row: " ".join(row.base.run_ids), raw="base_run_ids"),
    Column(value=lambda row: " ".join(row.instruct.run_ids), raw="instruct_run_ids"),
]


def _notes(rows: Sequence[ModelPair]) -> list[str]:
    sides_of = [side for row in rows for side in (row.of_base, row.of_instruct)]
    found = [*wording.evaluated_on(side.estimate for side in sides_of), *wording.in_common(sides_of)]
    sides = {id(setting): setting for row in rows for setting in (row.base, row.instruct)}
    found += wording.without_training_noise(list(sides.values())) if found else ["No evaluation items: not tested."]
    found += wording.losses(sides.values())
    return [*found, *wording.troubles(part for row in rows for part in (row.of_base, row.of_instruct, row.pair))]


def _footnotes(metrics: Sequence[Measure], alone: int) -> list[str]:
    if not metrics:
        return [
            "No base model was run beside its instruct counterpart with the same settings: run "
            "`python launch.py -m model=gemma3_270m,gemma3_270m_it` with the settings to compare."
        ]
    found = [*notes.units(metrics), notes.SPREADS, notes.INTERVALS, notes.PAIRED]
    if alone:
        found.append(f"{alone} settings have no counterpart with the same settings, and aren't shown.")
    return [
        *found,
        "The two see different prompts, each in its own form (a chat template or plain text): the pair is compared as "
        "it is used. Metrics that count tokens are left out, since tokenizers may differ.",
    ]
