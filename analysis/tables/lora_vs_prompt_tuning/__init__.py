"""LoRA against prompt tuning, each at its best: over all models first, then model by model with the untuned base."""

from __future__ import annotations

from collections.abc import Sequence

from ...read.comparable import Comparable
from ...read.labels import model_label
from ...read.measures import Measure, Measures
from ...read.selection import Selection
from ...read.settings import Setting
from ...statistics.ranking import ranking_measure, tokenizers
from ...statistics.shared_items import on_shared_items
from .. import notes
from ..best_settings import best_settings
from ..options import TableOptions
from ..table import Column, Section, Table, raw_rows
from . import methods, over_models
from .contest import LORA, NAMES, PROMPT, Contest, Entrants

SUMMARY = "LoRA against prompt tuning, each at its best: over all models, and for each beside its untuned base"


def build(selection: Selection, options: TableOptions | None = None) -> Table:
    """Return a section over all models of a set of comparable results, and one for each of the models.

    `options.metrics` are compared instead of the headlines; the first of them chooses the best settings.
    """
    asked = options.metrics if options else ()
    contests = [found for group in on_shared_items(selection.results) if (found := _contest(group, selection, asked))]
    sections, raw = [], []
    for contest in contests:
        over, each = over_models.sections(contest), methods.sections(contest)
        sections += [*over, *each] if len(contest.entrants) > 1 else [*each, *over]
        raw += methods.raw(contest)
        raw += raw_rows(over_models.COLUMNS, contest.duels)
        raw += raw_rows(over_models.SUMMARY_COLUMNS, contest.summaries)
    return Table(
        title=f"LoRA against prompt tuning: {selection.title}",
        columns=(Column("method", right=False),),
        sections=sections,
        notes=[
            *notes.left_out(selection),
            *([] if contests else ["No run has been evaluated yet, so there is nothing to compare."]),
            *(_footnotes(contests, sections) if raw else []),
        ],
        raw=raw,
    )


def _contest(group: Comparable, selection: Selection, asked: Sequence[str]) -> Contest | None:
    """Return the best settings of each model, where there is a metric to choose them by."""
    by_model: dict[str, list[Setting]] = {}
    for setting in group.settings:
        if setting.has_model:
            by_model.setdefault(model_label(setting.first), []).append(setting)
    entrants = []
    every = [setting for settings in by_model.values() for setting in settings]
    chosen_by = group.measures[asked[0]] if asked else ranking_measure(every, group.measures)
    for model, settings in by_model.items():
        if chosen_by is not None and any(setting.spread(chosen_by.name) for setting in settings):
            best = best_settings(tuple(NAMES), settings, chosen_by, selection.results, selection.studies)
            entrants.append(Entrants(model, settings, chosen_by, best))
    several = tokenizers(every) > 1
    return Contest(group, entrants, _compared(group.measures, asked, entrants, several)) if entrants else None


def _compared(known: Measures, asked: Sequence[str], entrants: Sequence[Entrants], several: bool) -> list[Measure]:
    """Return the metrics asked for, else the one that chose and the headlines; those with a direction.

    Unasked, those that count tokens are left out where there are `several` tokenizers: no mean over models is theirs.
    """
    names = asked or [*(found.measure.name for found in entrants), *(headline.name for headline in known.headlines())]
    found = [known[name] for name in dict.fromkeys(names) if known[name].higher_is_better is not None]
    return [measure for measure in found if asked or not (measure.per_token and several)]


def _footnotes(contests: Sequence[Contest], sections: Sequence[Section]) -> list[str]:
    printed = [measure for contest in contests for measure in contest.measures]
    found = [
        *notes.units(printed),
        notes.SPREADS,
        "A method's best setting is the one that a study chose on validation data, else the one with the best mean on "
        "the evaluation items themselves. The latter flatters whoever tried more settings, so compare bests with their "
        "counts (pruned settings count as tried, failed ones don't).",
    ]
    measured = [one for contest in contests for by_metric in contest.measured.values() for one in by_metric.values()]
    if any(one.interval for one in measured):
        found += [notes.INTERVALS, notes.PAIRED]
    if any(LORA in of.best and PROMPT in of.best for contest in contests for of in contest.entrants):
        found.append(over_models.NOTE)
    return [*found, notes.CSV]
