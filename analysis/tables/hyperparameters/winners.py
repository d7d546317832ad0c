"""What the winners of studies score on test, trained anew with seeds that the search never saw."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...read.comparable import Comparable, comparable
from ...read.labels import model_label
from ...read.measures import Measure
from ...read.results import COMPLETED, RunResult
from ...read.settings import Setting, settings
from ...read.studies import Study, StudyFinal, path_of
from ..shared_columns import metric_column
from ..table import Column, Section, cells
from .comparisons import in_words

NOTE = (
    "Winners were chosen on other data and trained anew with other seeds: mean ± sample standard deviation over these "
    "seeds, which nothing was chosen by."
)


@dataclass(frozen=True)
class Winner:
    """A trial's setting, trained anew, with the seeds that were scored."""

    study: Study
    trial: int
    setting: Setting

    @property
    def params(self) -> str:
        found = next((trial.params for trial in self.study.trials if trial.number == self.trial), {})
        return in_words(found) or self.setting.label


def sections(studies: Sequence[Study], labels: Mapping[int, str]) -> list[Section]:
    """Return one section for each set of comparable evaluations that winners were scored by, with a row a winner."""
    scored = {(r.run_id, r.evaluation_id): r for study in studies for final in study.finals if (r := _scored(final))}
    return [_section(group, list(_winners(group, studies)), labels) for group in comparable(list(scored.values()))]


def unfinished(studies: Sequence[Study], labels: Mapping[int, str]) -> list[str]:
    """Return a sentence for each study whose winners aren't all scored."""
    notes = []
    for study in studies:
        waiting = [final for final in study.finals if final.state != COMPLETED]
        if waiting:
            states = ", ".join(f"trial {final.trial} seed {final.seed} {final.state}" for final in waiting)
            count = f"{len(waiting)} of {len(study.finals)}"
            notes.append(f"{labels[id(study)]}: {count} final runs have no scores: {states}.")
    return notes


def _scored(final: StudyFinal) -> RunResult | None:
    return final.result if final.state == COMPLETED else None


def _winners(group: Comparable, studies: Sequence[Study]) -> Iterator[Winner]:
    """Yield every winner that has seeds in this group; two studies may have the same runs."""
    for study in studies:
        by_trial: dict[int, set[str]] = {}
        for final in study.finals:
            if result := _scored(final):
                by_trial.setdefault(final.trial, set()).add(result.run_id)
        for trial, run_ids in by_trial.items():
            for setting in settings(result for result in group.results if result.run_id in run_ids):
                yield Winner(study, trial, setting)


def _section(group: Comparable, rows: Sequence[Winner], labels: Mapping[int, str]) -> Section:
    columns = [
        Column("study", right=False, value=lambda row: labels[id(row.study)]),
        Column("model", right=False, value=lambda row: model_label(row.setting.first)),
        Column("trial", value=lambda row: row.trial),
        Column("setting", right=False, value=lambda row: row.params),
        Column("seeds", value=lambda row: row.setting.seeds_label),
        *(metric_column(measure, lambda row: row.setting, measure.label) for measure in _shown(group, rows)),
    ]
    runs = [row.setting.run_ids for row in rows]
    return Section(f"Winners trained anew: {group.data}", cells(columns, rows), [NOTE], columns, runs=runs)


def _shown(group: Comparable, rows: Sequence[Winner]) -> list[Measure]:
    """Return the metrics that winners were chosen by, then the headlines."""
    chosen_by = [group.measures[path_of(metric)] for row in rows for metric in row.study.metrics]
    found = {measure.name: measure for measure in (*chosen_by, *group.measures.headlines())}
    return [measure for measure in found.values() if any(row.setting.spread(measure.name) for row in rows)]
