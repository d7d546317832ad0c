"""Studies of several metrics: the best trial by each, since no one order ranks trials."""

from __future__ import annotations

from ...read.measures import measure
from ...read.settings import model_label
from .. import numbers
from ..table import Column, Section
from .attention import attention, counts, spent_tokens
from .comparisons import Entrant, Evaluation, in_words, run_ids

ALONE = (
    "These studies have several metrics, so no one order ranks their trials: there is no curve of the best, no target "
    "and no importance, but the best trial by each metric."
)


def section(evaluation: Evaluation) -> Section:
    """Return a row a study with the best value of every metric and its setting."""
    columns = [
        Column("study", right=False),
        Column("model", right=False),
        Column("method", right=False),
        Column("trials"),
        Column("tokens"),
    ]
    for metric in evaluation.metrics:
        columns += [Column(f"best {metric}"), Column("setting", right=False)]
    notes = [note for entrant in evaluation.entrants for note in attention(entrant)]
    return Section(
        title=evaluation.title,
        rows=[_row(entrant) for entrant in evaluation.entrants],
        notes=[ALONE, *notes],
        columns=columns,
        runs=[run_ids(entrant.study.trials) for entrant in evaluation.entrants],
    )


def _row(entrant: Entrant) -> list[str]:
    row = [
        entrant.label,
        model_label(entrant.example),
        str(entrant.example.get("config.peft.method", "?")),
        counts(entrant.study),
        numbers.tokens(spent_tokens(entrant.study)),
    ]
    for place, metric in enumerate(entrant.study.metrics):
        best = entrant.best(place)
        assert best.values is not None, "a completed trial has values"
        row += [measure(metric).form(best.values[place]), in_words(best.params)]
    return row
