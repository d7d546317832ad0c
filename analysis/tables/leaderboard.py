"""The leaderboard: every scored result, ranked among those that it may be compared with, as far as ranks are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from persona_sweeps.wording import pluralize

from ..read.comparable import Comparable, why_apart
from ..read.labels import base_label
from ..read.measures import Measure
from ..read.results import RunResult
from ..read.selection import Selection
from ..read.settings import Setting
from ..statistics.measured import Measured
from ..statistics.ranking import Placed, placed, ranking_measure, tokenizers
from ..statistics.shared_items import on_shared_items
from . import notes, references, wording
from .numbers import Reading, reading
from .options import TableOptions
from .shared_columns import cost_columns, identity_columns, metric_column, metric_columns, setting_columns
from .size_and_rate import pictures
from .table import Column, Section, Table, cells, raw_rows, shown

SUMMARY = (
    "all evaluated runs, ranked by their first headline metric within each set of comparable runs, ranks as ranges"
)

HEAD = (Column("rank"), Column("method", right=False), Column("learning rate"), Column("seeds"))
"""of a leaderboard without rows"""
_RANKS = (
    "rank is the range of ranks that can't be excluded at 95 %, of all rows at once: rows are compared in pairs on the "
    "same items, with Holm's correction (Mogstad, Romano, Shaikh & Wilhelm 2024). A row that may be first is tied with "
    "best. p is of the difference from the best row, corrected likewise."
)


def build(selection: Selection, options: TableOptions | None = None) -> Table:
    """Return the leaderboard: one section for each set of comparable results, since no ranking may mix two.

    `options.metric` is what to rank by; where it counts tokens, each model has a section of its own.
    """
    asked = options.metric if options else None
    groups = on_shared_items(selection.results)
    rankings = [_ranking(part, groups[0], asked) for group in groups for part in _parts(group, asked)]
    return Table(
        title=f"Leaderboard: {selection.title}",
        columns=HEAD,
        sections=[ranking.section() for ranking in rankings],
        notes=[*([] if rankings else [notes.NOTHING]), *notes.left_out(selection), *_footnotes(rankings)],
        raw=[row for ranking in rankings for row in ranking.raw()],
    )


def _parts(group: Comparable, asked: str | None) -> list[Comparable]:
    """Return the results that may be ranked together: of a metric that counts tokens, those of one model."""
    if asked is None or not group.measures[asked].per_token:
        return [group]
    by_model: dict[str, list[RunResult]] = {}
    for result in group.results:
        by_model.setdefault(base_label(result), []).append(result)
    return [replace(group, results=tuple(of_model)) for of_model in by_model.values()]


@dataclass(frozen=True)
class _Ranking:
    """A section of the leaderboard: its rows by `measure`, None where there is nothing to rank by."""

    group: Comparable
    measure: Measure | None
    asked: bool
    rows: Sequence[Placed]
    apart: Sequence[str]
    """what keeps it apart from the first section, as clauses"""

    @cached_property
    def several_tokenizers(self) -> bool:
        return tokenizers(row.setting for row in self.rows) > 1

    @property
    def beside(self) -> list[Measure]:
        """The metrics printed beside the ranked one: those of tokens only where all have one tokenizer."""
        headlines = [measure for measure in self.group.measures.headlines() if measure != self.measure]
        return [measure for measure in headlines if not (measure.per_token and self.several_tokenizers)]

    @cached_property
    def columns(self) -> list[Column]:
        """The columns of the section, those of raw rows among them."""
        return [
            Column("rank", value=lambda row: None if row.best is None else row.rank, raw="rank"),
            *setting_columns(_setting, references.marked, model=len(self.group.models) > 1),
            Column("seeds", value=lambda row: row.setting.seeds_count),
            Column(value=lambda row: row.setting.is_reference, raw="reference"),
            Column(value=lambda row: row.best, raw="best_rank"),
            Column(value=lambda row: row.worst, raw="worst_rank"),
            Column(value=lambda row: self.measure and self.measure.short, raw="ranked_by"),
            *identity_columns(_setting),
            *([] if self.measure is None else _ranked_by(self.measure)),
            *metric_columns(self.group.measures.without(self.measure), self.beside, _setting),
            *cost_columns(_setting),
        ]

    def section(self) -> Section:
        models = self.group.models
        title = f"{models[0]} · {self.group.data}" if len(models) == 1 else self.group.data
        figures = pictures([row.setting for row in self.rows], self.measure) if self.measure else []
        return Section(title, cells(self.columns, self.rows), self._notes(), shown(self.columns), figures)

    def raw(self) -> list[dict[str, Any]]:
        return raw_rows(self.columns, self.rows)

    def _notes(self) -> list[str]:
        found = [f"Not in one ranking with the first section: {'; '.join(self.apart)}."] if self.apart else []
        if self.measure is None:
            return [*found, "Nothing to rank by: no headline metric by which all of these can be compared."]
        ranked = [row for row in self.rows if row.best is not None]
        found += [self._ranked_by(self.measure), *_certainty(ranked, self.measure)]
        found += wording.troubles(row.measured for row in self.rows)
        found += wording.losses(row.setting for row in self.rows)
        if without := sum(row.setting.spread(self.measure.name) is None for row in self.rows):
            found.append(f"{pluralize(without, 'row')} without {self.measure.label}: last, and without a rank.")
        return found + references.notes([row.setting for row in self.rows])

    def _ranked_by(self, measure: Measure) -> str:
        """Say what is ranked by, and why by no metric with a larger headline."""
        larger = [] if self.asked else [m for m in self.group.measures.headlines() if m.headline > measure.headline]
        if not larger:
            return f"Ranked by {measure.label}."
        first = larger[0]
        if first.per_token and self.several_tokenizers:
            return f"Ranked by {measure.label}, since models with different tokenizers stand here."
        if first.higher_is_better is None:
            why = f"records don't say which way {first.label} is better"
        elif any(row.setting.spread(first.name) for row in self.rows):
            why = f"not all rows have {first.label}"
        else:
            why = f"no row has a {first.label}"
        return f"Ranked by {measure.label}, since {why}."


def _ranking(group: Comparable, first: Comparable, asked: str | None) -> _Ranking:
    measure = group.measures[asked] if asked else ranking_measure(group.settings, group.measures)
    unranked = [Placed(setting, Measured()) for setting in group.settings]
    rows = placed(group.settings, measure) if measure else unranked
    return _Ranking(group, measure, asked is not None, rows, why_apart(first, group))


def _setting(row: Placed) -> Setting:
    return row.setting


def _ranked_by(measure: Measure) -> list[Column]:
    """Return the columns of the number that rows are ranked by."""

    def reads(row: Placed) -> Reading:
        return reading(row.setting, measure.name, row.measured.interval)

    return [
        metric_column(measure, _setting, f"{measure.label} [95 %]", reads),
        Column(value=lambda row: row.measured.interval and row.measured.interval.low, raw="low"),
        Column(value=lambda row: row.measured.interval and row.measured.interval.high, raw="high"),
        Column(
            "against best [95 %]",
            value=lambda row: row.against_best,
            form=lambda pair: wording.difference(pair, measure),
            raw="against_best",
        ),
        Column("p", right=False, value=_p),
    ]


def _p(row: Placed) -> str | None:
    corrected = row.against_best.corrected
    if corrected is None:
        return None
    return f"{wording.p_value(corrected)}{' tied with best' if row.best == 1 else ''}"


def _certainty(ranked: Sequence[Placed], measure: Measure) -> list[str]:
    """Say on how much the ranks rest, and what they can't speak of."""
    found = [row.measured.estimate for row in ranked if row.measured.estimate is not None]
    trusted = [estimate for estimate in found if estimate.trusted]
    sentences = [*wording.evaluated_on(found), *wording.in_common(row.measured for row in ranked)]
    sentences += wording.on_common_items(result for row in ranked for result in row.setting.results)
    sentences += wording.scored_on_fewer(result for row in ranked for result in row.setting.results)
    if found:
        sentences += wording.without_training_noise([row.setting for row in ranked])
    if trusted and len(trusted) < len(found):
        sentences.append(
            f"Of {len(found) - len(trusted)} of {len(found)} rows a few scenes or dialogues decide the value, too few "
            "for an interval or a test: no rank of theirs can be excluded."
        )
    if not all(row.stepwise for row in ranked):
        sentences.append(
            "So many rows are compared that Holm's first step alone was taken (Bonferroni's correction): p-values are "
            "up to twice as large as his further steps would give, and a few more ranks stay possible."
        )
    if measure.is_metric and len(found) < len(ranked):
        sentences.append(
            f"{len(ranked) - len(found)} of {len(ranked)} have no usable evaluation items (samples), so nothing can be "
            "said of how sure their ranks are: the order is that of the means and may be chance."
        )
    return sentences


def _footnotes(rankings: Sequence[_Ranking]) -> list[str]:
    if not rankings:
        return []
    printed = [m for ranking in rankings for m in (ranking.measure, *ranking.beside) if m is not None]
    has_intervals = any(row.measured.interval for ranking in rankings for row in ranking.rows)
    return [
        *notes.units(printed),
        notes.SPREADS,
        _RANKS,
        *([notes.INTERVALS] if has_intervals else []),
        "The CSV of the same name has full precision, all metrics, standardized effects and the run ids.",
    ]
