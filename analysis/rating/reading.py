"""Reads ratings back; a row that can't be used is reported with its file and line, and the others are kept."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from persona_sweeps.errors import UserError, did_you_mean

from .design import ANSWERS, QUESTIONS, Key, Unit
from .sheet import HEAD

csv.field_size_limit(2**24)
_MEANT = {"=": "tie", "same": "tie", "equal": "tie", "left": "A", "right": "B"}
"""what people also write for an answer"""


@dataclass(frozen=True)
class Rating:
    """One answer to one question."""

    rater: str
    unit: Unit
    question: str
    answer: str


@dataclass
class Ratings:
    """What was read; `problems` has a sentence for each row that wasn't used, `blank` counts questions left open."""

    ratings: list[Rating] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    blank: int = 0

    @property
    def raters(self) -> list[str]:
        return sorted({rating.rater for rating in self.ratings})


def read(paths: Sequence[Path], key: Key) -> Ratings:
    """Return the answers in these CSV files, commas, semicolons or tabs between their cells.

    Raises `UserError` for a file that can't be read, isn't a rating sheet, or belongs to another key.
    """
    reader = _SheetReader(key)
    for path in paths:
        reader.file(path)
    return reader.found


class _SheetReader:
    def __init__(self, key: Key) -> None:
        self.key = key
        self.units: Mapping[str, Unit] = {unit.unit: unit for unit in key.units}
        self.questions = tuple(QUESTIONS[key.design])
        self.answers = {answer.casefold(): answer for answer in ANSWERS[key.design]}
        self.given: dict[tuple[str, str, str], str] = {}
        self.found = Ratings()

    def file(self, path: Path) -> None:
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                head = file.readline()
                file.seek(0)
                reader = csv.DictReader(file, delimiter=max(",;\t", key=head.count))
                self._columns(path, reader.fieldnames or [])
                for row in reader:
                    self._row(path, reader.line_num, row)
        except (OSError, UnicodeDecodeError, csv.Error) as error:
            raise UserError(f"{path} can't be read as a rating sheet: {error}.") from error

    def _columns(self, path: Path, names: Sequence[str]) -> None:
        for needed in (*HEAD, *self.questions):
            if needed not in names:
                raise UserError(f"{path} has no column {needed!r}.{did_you_mean(needed, names)}")

    def _row(self, path: Path, line: int, row: Mapping[str, str | None]) -> None:
        where = f"{path} line {line}"
        sheet, key, unit = (_text(row, name) for name in ("sheet", "key", "unit"))
        if sheet != self.key.sheet or key != self.key.hash:
            raise UserError(
                f"{where} is of sheet {sheet or '(none)'}, key {key or '(none)'}, and this is the key "
                f"{self.key.hash} of sheet {self.key.sheet}: give the key that was made with it."
            )
        if unit not in self.units:
            self.found.problems.append(f"{where}: no unit is called {unit!r}.")
            return
        rater = _text(row, "rater") or path.stem
        for question in self.questions:
            self._answer(where, rater, self.units[unit], question, _text(row, question))

    def _answer(self, where: str, rater: str, unit: Unit, question: str, text: str) -> None:
        if not text:
            self.found.blank += 1
            return
        answer = self.answers.get(_MEANT.get(text.casefold(), text).casefold())
        if answer is None:
            allowed = ", ".join(self.answers.values())
            self.found.problems.append(f"{where}: {question} is {text[:40]!r}, none of {allowed}.")
            return
        given_for = (rater, unit.unit, question)
        if given_for not in self.given:
            self.given[given_for] = answer
            self.found.ratings.append(Rating(rater, unit, question, answer))
        elif self.given[given_for] != answer:
            first = self.given[given_for]
            self.found.problems.append(f"{where}: {rater} answered {question} of {unit.unit} before, with {first}.")


def _text(row: Mapping[str, str | None], name: str) -> str:
    return (row.get(name) or "").strip()
