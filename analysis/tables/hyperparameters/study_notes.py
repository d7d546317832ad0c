"""What has to be reported of a study beside its numbers: trials that failed, are missing, or can't be compared."""

from __future__ import annotations

from persona_sweeps.wording import pluralize

from ...read.results import COMPLETED, FAILED, PRUNED, RUNNING
from ...read.studies import ENDED, PLANNED, UNKNOWN, Study
from .. import numbers
from ..notes import reason
from .comparisons import ComparedStudy

_BESIDE = {RUNNING: "still running, or stopped without a word", PLANNED: "only planned", UNKNOWN: "without a value"}
"""how trials that are neither completed, pruned nor failed are reported, by state"""


def counts(study: Study) -> str:
    """Return how many trials were completed / pruned / failed."""
    return " / ".join(numbers.count(study.count(state)) for state in (COMPLETED, PRUNED, FAILED))


def spent_tokens(study: Study) -> float | None:
    """Return the tokens that all trials were trained on, as far as they are known; None if none are."""
    known = [trial.tokens for trial in study.trials if trial.tokens is not None]
    return sum(known) if known else None


def attention(compared: ComparedStudy) -> list[str]:
    """Return a sentence for everything in a study's trials that its row doesn't show."""
    study, label = compared.study, compared.label
    notes = [
        f"{label}: {pluralize(study.count(state), 'trial')} {words}."
        for state, words in _BESIDE.items()
        if study.count(state)
    ]
    if elsewhere := len(study.completed) - len(compared.completed):
        notes.append(
            f"{label}: {pluralize(elsewhere, 'trial')} completed under another comparability key, which can't be "
            "compared with these; the CSV has them."
        )
    if unknown := sum(trial.tokens is None for trial in study.trials if trial.state in ENDED):
        notes.append(
            f"{label}: the tokens of {pluralize(unknown, 'trial')} aren't known, and are left out of all costs."
        )
    return notes + failures(study, label)


def failures(study: Study, label: str) -> list[str]:
    """Say how the first failed trial failed."""
    failed = [trial for trial in study.trials if trial.state == FAILED]
    if not failed:
        return []
    first = failed[0]
    why = "left no run record"
    if first.result is not None:
        has_failed = first.result.status == FAILED
        why = reason(first.result) if has_failed else f"has a run that is {first.result.status}, by its record"
    return [f"{label}: {pluralize(len(failed), 'trial')} failed; the first, trial {first.number}, {why}."]
