"""How a judge did: consistent or not, which side it favours, and how far it agrees with people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..tables import numbers
from ..tables.table import Column, Section
from .agreement import cohen_kappa
from .design import PAIRWISE, QUESTIONS
from .judging import JudgeVerdict, left_answers
from .reading import Rating
from .results import percent, with_interval
from .shares import share

_CONDUCT = (
    Column("question", right=False),
    Column("judged"),
    Column("consistent [95 %]"),
    Column("first shown preferred [95 %]"),
)
_AGAINST_PEOPLE = (
    Column("question", right=False),
    Column("units with both"),
    Column("same answer [95 %]"),
    Column("Cohen's kappa"),
    Column("people among themselves"),
)


def conduct(verdicts: Sequence[JudgeVerdict]) -> Section:
    """Return how often both orders gave the same answer, and how often the reply shown first was preferred."""
    rows = []
    for question in QUESTIONS[PAIRWISE]:
        both = [(v.unit.cluster, v.first[question] == v.turned[question]) for v in verdicts if v.first and v.turned]
        first = left_answers(verdicts, question)
        rows.append([question, str(len(both)), _share(both), _share(first)])
    notes = [
        "Each pair was judged in both orders; where the answers differ it counts as a tie.",
        "The reply shown first should be preferred half of the time: what is over or under that is position bias.",
    ]
    failed = [verdict for verdict in verdicts if verdict.first is None or verdict.turned is None]
    if failed:
        notes.append(f"{len(failed)} units have no verdict, the last since: {failed[-1].trouble}.")
    return Section("the judge's conduct", rows, notes, _CONDUCT)


def against_people(verdicts: Sequence[JudgeVerdict], people: Sequence[Rating]) -> Section:
    """Return the judge's agreement with what most people said of a unit; a split vote is a tie.

    Beside it, what people agree on among themselves: the share of pairs of raters of one unit who gave the same answer.
    """
    rows = []
    for question in QUESTIONS[PAIRWISE]:
        votes: dict[str, list[str]] = {}
        for rating in people:
            if rating.question == question:
                votes.setdefault(rating.unit.unit, []).append(rating.answer)
        judged = [(v.unit, v.answer(question)) for v in verdicts if v.unit.unit in votes]
        pairs = [(unit.cluster, answer, majority(votes[unit.unit])) for unit, answer in judged if answer is not None]
        kappa = cohen_kappa([(answer, most) for _, answer, most in pairs])
        same = _share([(cluster, answer == most) for cluster, answer, most in pairs])
        kappa_cell = numbers.ABSENT if kappa is None else f"{kappa:.2f}"
        rows.append([question, str(len(pairs)), same, kappa_cell, _among(list(votes.values()))])
    notes = ["Against what most people said of the unit, a split vote being a tie; kappa is 0 where chance would do."]
    return Section("the judge against people", rows, notes, _AGAINST_PEOPLE)


def majority(votes: Sequence[str]) -> str:
    """Return the answer that more than any other gave; a tie where there is none such."""
    (first, most), *others = Counter(votes).most_common()
    return "tie" if others and others[0][1] == most else first


def _among(units: Sequence[Sequence[str]]) -> str:
    same = sum(sum(n * (n - 1) for n in Counter(votes).values()) for votes in units)
    pairs = sum(len(votes) * (len(votes) - 1) for votes in units)
    return percent(same / pairs) if pairs else numbers.ABSENT


def _share(values: Sequence[tuple[str, bool]]) -> str:
    if not values:
        return numbers.ABSENT
    return with_interval(share([float(value) for _, value in values], [cluster for cluster, _ in values]), percent)
