"""What ratings say, as tables: win rates and strengths, or means; agreement; what side was favoured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from ..statistics.spread import MIN_CLUSTERS
from ..tables import numbers
from ..tables.table import Column, Section, Table
from .agreement import krippendorff_alpha
from .bradley_terry import Fit, Meeting, Strength, fit
from .design import ANSWERS, LIKERT, PAIRWISE, QUESTIONS, Key
from .reading import Rating, Ratings
from .shares import RatedMean, mean, share

_WON = {"A": 1.0, "tie": 0.5, "B": 0.0}
_RUNS = (
    Column("run", right=False),
    Column("won"),
    Column("tied"),
    Column("lost"),
    Column("win rate [95 %]"),
    Column("strength [95 %]"),
)
_MEANS = (Column("run", right=False), Column("ratings"), Column("scenes"), Column("mean [95 %]"))
_LEVELS = {PAIRWISE: ("nominal",), LIKERT: ("nominal", "ordinal", "interval")}


def results(key: Key, found: Ratings, title: str) -> Table:
    """Return a section a question, and one on how far raters agree. Raw rows have run ids."""
    section = _pairwise if key.design == PAIRWISE else _likert
    sections, raw = [], []
    for question in QUESTIONS[key.design]:
        of_question = [rating for rating in found.ratings if rating.question == question]
        if of_question:
            made, rows = section(key, question, of_question)
            sections.append(made)
            raw += rows
    if sections:
        sections.append(_agreement(key, found))
    return Table(title, _RUNS if key.design == PAIRWISE else _MEANS, sections, _notes(key, found), raw)


def meetings(key: Key, ratings: Sequence[Rating]) -> list[Meeting]:
    """Return what raters preferred; pairs of equal texts are a tie for each rater."""
    found = [Meeting(r.unit.runs[0], r.unit.runs[1], _WON[r.answer], r.unit.cluster) for r in ratings]
    raters = {rating.rater for rating in ratings}
    return found + [Meeting(one, other, 0.5, cluster) for _, cluster, one, other in key.ties for _ in raters]


def _pairwise(key: Key, question: str, ratings: Sequence[Rating]) -> tuple[Section, list[dict[str, Any]]]:
    met = meetings(key, ratings)
    fitted = fit(met)
    of_run = {run: _record(run, met) for run in key.names}
    measured = {run: share([w for w, _ in won], [c for _, c in won]) for run, won in of_run.items() if won}
    rows, raw = [], []
    for run in sorted(measured, key=lambda run: -measured[run].value):
        counts = Counter(won for won, _ in of_run[run])
        strength = fitted.strengths.get(run) if fitted else None
        tally = [str(counts[won]) for won in (1.0, 0.5, 0.0)]
        rows.append(
            [key.names[run], *tally, with_interval(measured[run], percent), with_interval(strength, _two_decimals)]
        )
        raw.append({"question": question, "run_id": run, "run": key.names[run]} | _raw(measured[run], strength, counts))
    return Section(question, rows, _fit_notes(fitted)), raw


def _record(run: str, met: Sequence[Meeting]) -> list[tuple[float, str]]:
    """Return what a run won of each meeting, with its cluster."""
    left = [(meeting.won, meeting.cluster) for meeting in met if meeting.one == run]
    return left + [(1 - meeting.won, meeting.cluster) for meeting in met if meeting.other == run]


def _raw(rate: RatedMean, strength: Strength | None, counts: Counter[float]) -> dict[str, Any]:
    return {
        "won": counts[1.0],
        "tied": counts[0.5],
        "lost": counts[0.0],
        "win_rate": rate.value,
        "win_rate_low": rate.low,
        "win_rate_high": rate.high,
        "strength": strength and strength.value,
        "strength_low": strength and strength.low,
        "strength_high": strength and strength.high,
        "scenes": rate.clusters,
    }


def _fit_notes(fitted: Fit | None) -> list[str]:
    if fitted is None:
        return ["No strengths: some runs never met, even by way of others."]
    if fitted.penalized:
        return [
            "Some runs won or lost every meeting with the others, so plain maximum likelihood puts them infinitely far "
            "apart: the strengths are by Firth's penalized likelihood instead, and their intervals are rough."
        ]
    return []


def _likert(key: Key, question: str, ratings: Sequence[Rating]) -> tuple[Section, list[dict[str, Any]]]:
    rows, raw = [], []
    for run, name in key.names.items():
        of_run = [rating for rating in ratings if rating.unit.runs[0] == run]
        if of_run:
            found = mean([float(r.answer) for r in of_run], [r.unit.cluster for r in of_run], _scale())
            rows.append((found.value, [name, str(found.n), str(found.clusters), with_interval(found, _two_decimals)]))
            numbers_ = {"mean": found.value, "low": found.low, "high": found.high, "n": found.n}
            raw.append({"question": question, "run_id": run, "run": name, **numbers_, "scenes": found.clusters})
    return Section(question, [row for _, row in sorted(rows, key=lambda pair: -pair[0])]), raw


def _scale() -> tuple[float, float]:
    """Return the ends of the scale of answers."""
    return float(ANSWERS[LIKERT][0]), float(ANSWERS[LIKERT][-1])


def _agreement(key: Key, found: Ratings) -> Section:
    """Return alpha a question, and for pairs how often the left side was preferred."""
    paired = key.design == PAIRWISE
    levels = _LEVELS[key.design]
    columns = [
        Column("question", right=False),
        Column("raters"),
        Column("units rated by two or more"),
        *(Column(f"alpha, {level}") for level in levels),
        *([Column("left preferred [95 %]")] if paired else []),
    ]
    rows = []
    for question in QUESTIONS[key.design]:
        ratings = [rating for rating in found.ratings if rating.question == question]
        units = list(values_by_unit(key, ratings).values())
        alphas = [krippendorff_alpha(units, level) for level in levels]
        alpha_cells = [numbers.ABSENT if alpha is None else f"{alpha:.3f}" for alpha in alphas]
        sides = [with_interval(left_share(ratings), percent)] if paired else []
        several = sum(len(values) > 1 for values in units)
        rows.append([question, str(len({r.rater for r in ratings})), str(several), *alpha_cells, *sides])
    return Section("agreement", rows, _agreement_notes(found, paired), columns)


def values_by_unit(key: Key, ratings: Sequence[Rating]) -> dict[str, list[float]]:
    """Return the answers to each unit as numbers, by where the answer stands on its scale."""
    scale = {answer: float(index) for index, answer in enumerate(ANSWERS[key.design])}
    units: dict[str, list[float]] = {}
    for rating in ratings:
        units.setdefault(rating.unit.unit, []).append(scale[rating.answer])
    return units


def left_share(ratings: Sequence[Rating]) -> RatedMean | None:
    """Return the share of left among answers that prefer a side: sides were drawn, so a half is fair."""
    decided = [rating for rating in ratings if rating.answer != "tie"]
    if not decided:
        return None
    return share([float(rating.answer == "A") for rating in decided], [rating.unit.cluster for rating in decided])


def _agreement_notes(found: Ratings, paired: bool) -> list[str]:
    notes = ["alpha is Krippendorff's: 1 is full agreement, 0 what chance gives; – where it isn't defined."]
    if len(found.raters) < 2:
        notes.append("There is one rater, so nothing is known of how far people agree.")
    if paired:
        notes.append("Sides were drawn and balanced: a share of left far from 50 % is a habit of the raters.")
    return notes


def _notes(key: Key, found: Ratings) -> list[str]:
    units = len({rating.unit.unit for rating in found.ratings})
    notes = [
        f"{len(found.ratings)} answers by {len(found.raters)} raters to {units} of {len(key.units)} units; "
        f"{found.blank} questions left open.",
        *(f"Not used: {problem}" for problem in found.problems),
        f"Intervals take all ratings of a scene or dialogue as one draw, and aren't given below {MIN_CLUSTERS} of "
        "them, or where one or two outweigh the rest; they don't cover what other raters would say.",
    ]
    if key.design == PAIRWISE:
        notes.append(
            "A tie is half a win. strength is the log odds of being preferred to a run of average strength, by "
            "Bradley and Terry's model."
        )
    if key.ties:
        notes.append(f"{len(key.ties)} pairs of equal texts, which nobody was shown, count as ties of every rater.")
    return notes


def with_interval(value: RatedMean | Strength | None, form: Callable[[float], str]) -> str:
    """Return `value [low, high]`, as far as it is known."""
    if value is None:
        return numbers.ABSENT
    if value.low is None or value.high is None:
        return form(value.value)
    return f"{form(value.value)} [{form(value.low)}, {form(value.high)}]"


def percent(value: float) -> str:
    return f"{100 * value:.0f} %"


def _two_decimals(value: float) -> str:
    return f"{value:.2f}"
