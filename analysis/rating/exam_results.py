"""What the entry exam says, as a section that stands before everything that the judge says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..tables.table import Column, Section, Table
from .exam import ExamResult
from .results import percent, with_interval

_COLUMNS = (
    Column("lines"),
    Column("speakers", right=False),
    Column("offered at a time"),
    Column("named right [95 %]"),
    Column("chance"),
    Column("bar"),
)
_ASKED = (
    "The judge was to name the speakers of real lines, without the names in them, from the characters' names alone: "
    "whoever can't hear who speaks can't say who a reply sounds like. As many lines are of each speaker, and no answer"
    " is a wrong one.",
    "The lower end of the interval has to be above the bar: chance, unless --bar is higher. For comparison: on other "
    "lines, with the dialogue around them, people named 91 % and the best model 69 % (PersonaEval, 2025).",
)
_DRAWS = {
    True: "The interval takes lines of one scene as one draw.",
    False: "The lines are of too few scenes for an interval over scenes, so each line is taken as a draw: that is fair "
    "to guesses, and too narrow for a judge who knows some scenes.",
}


def exam_section(found: ExamResult) -> Section:
    """Return the exam as a section of one row."""
    row = [
        str(found.accuracy.n),
        ", ".join(found.speakers),
        str(round(1 / found.chance)),
        with_interval(found.accuracy, percent),
        percent(found.chance),
        percent(found.bar),
    ]
    missing = [f"{found.unanswered} lines got no answer."] if found.unanswered else []
    return Section("entry exam", [row], [*missing, *_ASKED, _DRAWS[found.by_scene]], _COLUMNS)


def in_short(found: ExamResult) -> str:
    """Return the exam for a title or a name: `exam 38/40, 95 % [84, 99]`."""
    ends = (found.accuracy.low, found.accuracy.high)
    interval = "" if None in ends else f" [{', '.join(f'{100 * end:.0f}' for end in ends if end is not None)}]"
    return f"exam {found.right}/{found.accuracy.n}, {percent(found.accuracy.value)}{interval}"


def with_exam(table: Table, found: ExamResult) -> Table:
    """Return what a judge says with its exam before it: in the title, as a section, and in every raw row."""
    raw: list[Mapping[str, Any]] = [{**row, **found.raw()} for row in table.raw]
    title = f"{table.title} ({in_short(found)})"
    return replace(table, title=title, sections=[exam_section(found), *table.sections], raw=raw)


def barred(found: ExamResult, requests: str) -> Table:
    """Return the exam of a judge that failed it, and nothing that the judge says."""
    low = found.accuracy.low
    assert low is not None, "as many lines as an exam has give an interval"
    reason = f"the lower end of its interval, {percent(low)}, isn't above the bar, {percent(found.bar)}"
    notes = [f"{found.model} has failed its entry exam, so none of its judgements is asked for or shown: {reason}."]
    title = f"The entry exam of {found.model}: failed"
    return Table(title, _COLUMNS, [exam_section(found)], [*notes, requests], [found.raw()])
