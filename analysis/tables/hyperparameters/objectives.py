"""Studies of several metrics: the best trial by each, since no one order ranks trials."""

from __future__ import annotations

from ...program import PROGRAM
from ...read.labels import method_of, model_label
from ...read.measures import Measure
from .. import numbers
from ..table import Column, Section, cells
from .comparisons import ComparedStudy, StudyComparison, in_words, run_ids
from .study_notes import attention, counts, spent_tokens

ALONE = (
    "These studies have several metrics, so no one order ranks their trials: there is no curve of the best and no "
    f"target, but the best trial by each metric, what mattered for each, and the front (`{PROGRAM} pareto`)."
)
STUDY_COLUMNS = [
    Column("study", right=False, value=lambda row: row.label),
    Column("model", right=False, value=lambda row: model_label(row.example)),
    Column("method", right=False, value=lambda row: method_of(row.example)),
    Column("trials", value=lambda row: counts(row.study)),
    Column("tokens", value=lambda row: spent_tokens(row.study), form=numbers.tokens),
]


def section(comparison: StudyComparison) -> Section:
    """Return a row a study with the best value of every metric and its setting."""
    columns = list(STUDY_COLUMNS)
    for index, measure in enumerate(comparison.measures):
        columns += _best(index, measure)
    notes = [note for study in comparison.studies for note in attention(study)]
    return Section(
        title=comparison.title,
        rows=cells(columns, comparison.studies),
        notes=[ALONE, *notes],
        columns=columns,
        runs=[run_ids(compared.study.trials) for compared in comparison.studies],
    )


def _best(index: int, measure: Measure) -> list[Column]:
    """Return the columns of the best trial by one metric."""

    def value(row: ComparedStudy) -> float:
        best = row.best(index)
        assert best.values is not None, "a completed trial has values"
        return best.values[index]

    return [
        Column(f"best {measure.label}", value=value, form=measure.form),
        Column("setting", right=False, value=lambda row: in_words(row.best(index).params)),
    ]
