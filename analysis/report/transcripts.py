"""What runs said, item by item: the same prompt once, with what each result made of it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from persona_sweeps.wording import pluralize

from ..read.files import Lines, read_lines
from ..read.files import short_number as number
from ..read.labels import method_of
from ..read.measures import Measure, measures
from ..read.results import RunResult
from ..read.settings import settings
from ..statistics.ranking import ranking_measure
from .text import shortened

LONGEST = 20_000
"""characters of one text that are put into the file"""
BUDGET = 10_000_000
"""characters of all texts together, and of what each answer takes beside; results after that have none"""
_BESIDE = 40
"""characters of an answer's scores and punctuation"""
PAGE = 10
"""items of one page"""
SIDE_BY_SIDE = 3
"""results that are shown at first"""


@dataclass(frozen=True)
class Turn:
    """What somebody says in a prompt; `role` is empty for a prompt that is mere text."""

    role: str
    text: str


@dataclass(frozen=True)
class Item:
    """An evaluation item, whichever results had it."""

    id: str
    persona: str
    prompt: tuple[Turn, ...]
    reference: str

    @property
    def name(self) -> tuple[str, ...]:
        """What sets it apart from the others of its evaluation data."""
        return (self.id, self.persona, self.reference)

    @property
    def prompt_size(self) -> int:
        return sum(len(turn.text) for turn in self.prompt)


@dataclass(frozen=True)
class Said:
    """An answer to an item: None where no text was generated; `scores` in the order of the transcripts' `scores`."""

    text: str | None
    scores: tuple[float | None, ...]


@dataclass
class Transcripts:
    """Items in order of first appearance; `said` has each result's answers by the items' indices, in order of results.

    `scores` are the metrics that an item has a value of its own in.
    """

    scores: Sequence[Measure] = ()
    items: list[Item] = field(default_factory=list)
    said: list[dict[int, Said]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def personas(self) -> list[str]:
        return sorted({item.persona for item in self.items})


def read_transcripts(results: Sequence[RunResult], most: int, budget: int = BUDGET) -> Transcripts:
    """Return the first `most` items of each result that left any; what the limits here leave out is in the notes."""
    return _ItemReader(results, most, budget).read()


class _ItemReader:
    """Gathers the items of many results, each once."""

    def __init__(self, results: Sequence[RunResult], most: int, budget: int) -> None:
        from ..statistics.aggregates import item_scores

        self.results, self.most, self.budget = results, most, budget
        self.scorers = item_scores(measures(results).headlines())
        self.found = Transcripts([measure for measure, _ in self.scorers])
        self.indices: dict[tuple[Any, int], int] = {}
        self.rephrased: set[int] = set()
        self.cut = 0

    def read(self) -> Transcripts:
        left, over = 0, []
        for result in self.results:
            paths = [path for path in result.all_samples() if path.exists()]
            if self.budget <= 0:
                over += [result] if paths else []
                self.found.said.append({})
                continue
            lines = _first(paths, self.most)
            left += lines.more
            if lines.trouble:
                self.found.notes.append(f"Run {result.run_id}: {lines.trouble}.")
            self.found.said.append(self._answers(lines.rows, result.key))
        self._note_limits(left, over)
        return self.found

    def _answers(self, rows: Sequence[Mapping[str, Any]], key: str | None) -> dict[int, Said]:
        answers: dict[int, Said] = {}
        repeats: Counter[tuple[str, ...]] = Counter()
        for row in rows:
            item = self._item(row)
            index = self._index(item, repeats[item.name], key)
            repeats[item.name] += 1
            said = row.get("prediction")
            text = None if said is None else self._text(said)
            self.budget -= len(text or "") + _BESIDE
            answers[index] = Said(text, tuple(number(score(row)) for _, score in self.scorers))
        return answers

    def _index(self, item: Item, repeat: int, key: str | None) -> int:
        """Return the index of an item: that of an equal one, or of what results with the same comparability key have by
        its id; their prompt may have another form (a chat template, a few-shot prompt). The shortest form is shown."""
        same = (key, item.name) if key is not None else item
        index = self.indices.get((item, repeat), self.indices.get((same, repeat), len(self.found.items)))
        self.indices[item, repeat] = self.indices[same, repeat] = index
        if index == len(self.found.items):
            self.found.items.append(item)
            self.budget -= len(item.reference) + item.prompt_size
        elif item != self.found.items[index]:
            self.rephrased.add(index)
            if item.prompt_size < self.found.items[index].prompt_size:
                self.budget += self.found.items[index].prompt_size - item.prompt_size
                self.found.items[index] = item
        return index

    def _item(self, row: Mapping[str, Any]) -> Item:
        prompt = row.get("prompt", "")
        turns = tuple(self._turn(turn) for turn in (prompt if isinstance(prompt, list) else [prompt]))
        return Item(str(row.get("id", "")), str(row.get("persona") or "–"), turns, self._text(row.get("reference", "")))

    def _turn(self, turn: Any) -> Turn:
        if isinstance(turn, Mapping) and "content" in turn:
            return Turn(str(turn.get("role", "")), self._text(turn["content"]))
        return Turn("", self._text(turn))

    def _text(self, value: Any) -> str:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        kept, rest = shortened(text, LONGEST)
        self.cut += rest > 0
        return f"{kept}… ({rest:,} more characters)" if rest else kept

    def _note_limits(self, left: int, over: Sequence[RunResult]) -> None:
        if left:
            self.found.notes.append(
                f"The first {self.most} items of each run are here (--samples), and {left:,} more in their samples."
            )
        if self.rephrased:
            many = len(self.rephrased) > 1
            self.found.notes.append(
                f"{len(self.rephrased):,} item{'s were' if many else ' was'} put to runs in several forms (chat "
                "templates, few-shot prompts); the shortest is shown, each run's own is in its samples."
            )
        if self.cut:
            self.found.notes.append(
                f"{pluralize(self.cut, 'text')} longer than {LONGEST:,} characters, cut and marked so."
            )
        if over:
            names = ", ".join(result.run_id for result in over[:5])
            self.found.notes.append(
                f"{len(over)} runs have no transcripts here, since others fill the {BUDGET // 10**6} million "
                f"characters that this file takes: {names}{' …' if len(over) > 5 else ''}."
            )


def _first(paths: Sequence[Path], most: int) -> Lines:
    return read_lines(paths[0], most) if paths else Lines([])


def shown_at_first(results: Sequence[RunResult], found: Transcripts, most: int = SIDE_BY_SIDE) -> list[int]:
    """Return the indices of the results to set side by side: the best of each method, then those that come first."""
    having = [index for index, said in enumerate(found.said) if said]
    measure = ranking_measure(settings(results), measures(results))

    def loss(index: int) -> float:
        value = results[index].number(measure.name) if measure else None
        return measure.sign * value if measure and value is not None else math.inf

    best: dict[str, int] = {}
    for index in sorted(having, key=loss):
        best.setdefault(method_of(results[index]), index)
    kept = list(dict.fromkeys([*best.values(), *having]))[:most]
    return [index for index in having if index in kept]
