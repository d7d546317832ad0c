"""The Pareto fronts of studies of several metrics: the trials that no other beats in all of them together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from persona_sweeps.wording import pluralize

from ..program import PROGRAM
from ..read.labels import model_label
from ..read.selection import Selection
from ..read.studies import Study, StudyTrial
from . import numbers
from .hyperparameters.comparisons import ComparedStudy, StudyComparison, comparisons, in_words, labels
from .hyperparameters.study_notes import attention
from .table import Column, Section, Table, cells

SUMMARY = "the Pareto fronts of studies of several metrics: settings that no other beats in all of them"
NOTES = (
    "A setting is on the front if no other is at least as good by every metric and better by one; equally good ones "
    "stay there together. A run that several trials drew has one row.",
    "Values are of the data that settings were searched on, and a front is flattered by that: more settings "
    f"and more metrics put more of them there by luck. `{PROGRAM} hyperparameters` has what final runs scored "
    "on test.",
    "The CSV of the same name has every completed trial in full precision, on the front or not.",
)


@dataclass(frozen=True)
class Candidate:
    """A completed trial of a study, and whether it is on the front of that study, and of all studies compared."""

    compared: ComparedStudy
    trial: StudyTrial
    in_study: bool
    in_all: bool

    def value(self, index: int) -> float:
        assert self.trial.values is not None, "a completed trial has values"
        return self.trial.values[index]


def applies(selection: Selection) -> bool:
    """Whether there is a study of several metrics."""
    return any(len(study.metrics) > 1 for study in selection.studies)


def build(selection: Selection) -> Table:
    """Return a section for each study, then one for all studies that may be compared."""
    several = [study for study in selection.studies if len(study.metrics) > 1]
    sections: list[Section] = []
    raw: list[dict[str, Any]] = []
    for comparison in comparisons(several):
        candidates = _candidates(comparison)
        sections += _sections(comparison, candidates)
        raw += [_raw(candidate) for candidate in candidates]
    return Table(f"Pareto fronts: {selection.title}", (), sections, [*_left_out(several, raw), *NOTES], raw)


def _left_out(several: Sequence[Study], raw: Sequence[Mapping[str, Any]]) -> list[str]:
    if not several:
        return ["There is no study of several metrics here: hydra.sweeper.metric=[a,b] makes one."]
    shown = {(row["sweep"], row["study"]) for row in raw}
    named = labels(several)
    return [
        f"{named[id(study)]} has no front: none of its {pluralize(len(study.trials), 'trial')} was completed."
        for study in several
        if (study.sweep, study.name) not in shown
    ]


def _candidates(comparison: StudyComparison) -> list[Candidate]:
    """Return the completed trials of all studies, each run of a study once."""
    rows = [(compared, trial) for compared in comparison.studies for trial in _distinct(compared.completed)]
    in_all = _front([trial for _, trial in rows], comparison)
    in_study: list[bool] = []
    for compared in comparison.studies:
        in_study += _front([trial for of, trial in rows if of is compared], comparison)
    return [Candidate(*row, own, joint) for row, own, joint in zip(rows, in_study, in_all, strict=True)]


def _distinct(trials: Sequence[StudyTrial]) -> Iterator[StudyTrial]:
    seen: set[str] = set()
    for trial in trials:
        if trial.run_id is None or trial.run_id not in seen:
            yield trial
        seen |= {trial.run_id} if trial.run_id is not None else set()


def _front(trials: Sequence[StudyTrial], comparison: StudyComparison) -> list[bool]:
    import numpy as np  # listing the tables needs neither

    from ..statistics.pareto import non_dominated

    higher = [comparison.studies[0].study.maximizes(index) for index in range(len(comparison.measures))]
    values = np.array([trial.values for trial in trials], dtype=np.float64).reshape(len(trials), len(higher))
    return [bool(flag) for flag in non_dominated(values, higher)]


def _sections(comparison: StudyComparison, candidates: Sequence[Candidate]) -> list[Section]:
    """Return a section for the front of each study, and one for that of all if there are several."""
    sections = []
    for compared in comparison.studies:
        of_study = [candidate for candidate in candidates if candidate.compared is compared]
        front = [candidate for candidate in of_study if candidate.in_study]
        title = f"{compared.label}: {comparison.title}"
        sections.append(_section(title, comparison, front, len(of_study), attention(compared)))
    if len(comparison.studies) > 1:
        joint = [candidate for candidate in candidates if candidate.in_all]
        sections.append(_section(f"All studies: {comparison.title}", comparison, joint, len(candidates), (), True))
    return sections


def _section(
    title: str,
    comparison: StudyComparison,
    front: Sequence[Candidate],
    settings: int,
    notes: Sequence[str],
    names_study: bool = False,
) -> Section:
    study = comparison.studies[0].study
    ordered = sorted(front, key=lambda row: -row.value(0) if study.maximizes() else row.value(0))
    columns = _columns(comparison, names_study)
    ways = ", ".join(
        f"{'more' if study.maximizes(index) else 'less'} {measure.label}"
        for index, measure in enumerate(comparison.measures)
    )
    of = f"{len(front)} of {pluralize(settings, 'completed setting')} on the front; better is {ways}."
    runs = [[row.trial.run_id or ""] for row in ordered]
    return Section(title, cells(columns, ordered), [of, *notes], columns, runs=runs)


def _columns(comparison: StudyComparison, names_study: bool) -> list[Column]:
    by_study = [
        Column("study", right=False, value=lambda row: row.compared.label),
        Column("model", right=False, value=lambda row: model_label(row.trial.result)),
    ]
    return [
        *(by_study if names_study else []),
        Column("trial", value=lambda row: row.trial.number),
        *(
            Column(measure.label, value=lambda row, index=index: row.value(index), form=measure.form)  # type: ignore[misc]
            for index, measure in enumerate(comparison.measures)
        ),
        Column("setting", right=False, value=lambda row: in_words(row.trial.params)),
        Column("tokens", value=lambda row: row.trial.tokens, form=numbers.tokens),
        Column("run", right=False, value=lambda row: row.trial.run_id),
    ]


def _raw(row: Candidate) -> dict[str, Any]:
    study, trial = row.compared.study, row.trial
    return {
        "sweep": study.sweep,
        "study": study.name,
        "trial": trial.number,
        "on_front": row.in_study,
        "on_front_of_all": row.in_all,
        **{f"value_{metric}": row.value(index) for index, metric in enumerate(study.metrics)},
        **{f"param_{key}": value for key, value in trial.params.items()},
        "tokens": trial.tokens,
        "run_id": trial.run_id,
        "evaluation_id": trial.result and trial.result.evaluation_id,
        "comparability_key": trial.key,
    }
