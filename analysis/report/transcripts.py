"""What runs said, item by item: the same prompt once, with what each run made of it."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from persona_sweeps.wording import counted

from ..read.json_lines import number, read_lines
from ..read.results import Record
from .text import shortened

LONGEST = 20_000
"""characters of one text that are put into the file"""
BUDGET = 20_000_000
"""characters of all texts together; runs after that have none"""
SCORES = {"completion_nll": "NLL a token", "rouge1": "ROUGE-1", "rougeL": "ROUGE-L"}
"""what an item is told to have scored, by its name in samples.jsonl"""
PAGE = 10
"""items of one page"""
SIDE_BY_SIDE = 3
"""runs that are shown at first"""


@dataclass(frozen=True)
class Turn:
    """What somebody says in a prompt; `role` is empty for a prompt that is mere text."""

    role: str
    text: str


@dataclass(frozen=True)
class Item:
    """An evaluation item, whichever runs had it."""

    id: str
    persona: str
    prompt: tuple[Turn, ...]
    reference: str

    @property
    def name(self) -> tuple[str, ...]:
        """What tells it from the others of its evaluation data."""
        return (self.id, self.persona, self.reference)

    @property
    def prompt_size(self) -> int:
        return sum(len(turn.text) for turn in self.prompt)


@dataclass(frozen=True)
class Said:
    """A run's answer to an item: None where it generated none; `scores` in the order of `SCORES`."""

    text: str | None
    scores: tuple[float | None, ...]


@dataclass
class Transcripts:
    """Items in order of first appearance; `said` maps a run id to its answers by the items' places."""

    items: list[Item] = field(default_factory=list)
    said: dict[str, dict[int, Said]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def personas(self) -> list[str]:
        return sorted({item.persona for item in self.items})


def read_transcripts(records: Sequence[Record], most: int, budget: int = BUDGET) -> Transcripts:
    """Return the first `most` items of each run that left any; what the limits here leave out is told in the notes."""
    return _Reader(most, budget).read(records)


class _Reader:
    """Gathers the items of many runs, each once."""

    def __init__(self, most: int, budget: int) -> None:
        self.most, self.budget = most, budget
        self.found = Transcripts()
        self.places: dict[tuple[Any, int], int] = {}
        self.rephrased: set[int] = set()
        self.cut = 0

    def read(self, records: Sequence[Record]) -> Transcripts:
        left, over = 0, []
        for record in records:
            if self.budget <= 0:
                over.append(record)
                continue
            lines = read_lines(record.folder / "samples.jsonl", self.most)
            left += lines.more
            if lines.trouble:
                self.found.notes.append(f"Run {record.run_id}: {lines.trouble}.")
            if lines.rows:
                self.found.said[record.run_id] = self._answers(lines.rows, record.get("comparability_key"))
        self._tell(left, [record for record in over if (record.folder / "samples.jsonl").exists()])
        return self.found

    def _answers(self, rows: Sequence[Mapping[str, Any]], key: str | None) -> dict[int, Said]:
        answers: dict[int, Said] = {}
        repeats: Counter[tuple[str, ...]] = Counter()
        for row in rows:
            item = self._item(row)
            place = self._place(item, repeats[item.name], key)
            repeats[item.name] += 1
            said = row.get("prediction")
            text = None if said is None else self._text(said)
            self.budget -= len(text or "")
            answers[place] = Said(text, tuple(number(row.get(name)) for name in SCORES))
        return answers

    def _place(self, item: Item, repeat: int, key: str | None) -> int:
        """Return the place of an item: that of an equal one, or of what runs of the same comparability key call by its
        id, whose prompt may have another form (a chat template, a few-shot prompt). The shortest form is shown."""
        same = (key, item.name) if key is not None else item
        place = self.places.get((item, repeat), self.places.get((same, repeat), len(self.found.items)))
        self.places[item, repeat] = self.places[same, repeat] = place
        if place == len(self.found.items):
            self.found.items.append(item)
            self.budget -= len(item.reference) + item.prompt_size
        elif item != self.found.items[place]:
            self.rephrased.add(place)
            if item.prompt_size < self.found.items[place].prompt_size:
                self.budget += self.found.items[place].prompt_size - item.prompt_size
                self.found.items[place] = item
        return place

    def _item(self, row: Mapping[str, Any]) -> Item:
        prompt = row.get("prompt", "")
        turns = prompt if isinstance(prompt, list) else [prompt]
        told = tuple(self._turn(turn) for turn in turns)
        return Item(str(row.get("id", "")), str(row.get("persona") or "–"), told, self._text(row.get("reference", "")))

    def _turn(self, turn: Any) -> Turn:
        if isinstance(turn, Mapping) and "content" in turn:
            return Turn(str(turn.get("role", "")), self._text(turn["content"]))
        return Turn("", self._text(turn))

    def _text(self, value: Any) -> str:
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        kept, rest = shortened(text, LONGEST)
        self.cut += rest > 0
        return f"{kept}… ({rest:,} more characters)" if rest else kept

    def _tell(self, left: int, over: Sequence[Record]) -> None:
        if left:
            self.found.notes.append(
                f"The first {self.most} items of each run are here (--samples), and {left:,} more in its samples.jsonl."
            )
        if self.rephrased:
            many = len(self.rephrased) > 1
            self.found.notes.append(
                f"{len(self.rephrased):,} item{'s were' if many else ' was'} put to runs in several forms (chat "
                "templates, few-shot prompts); the shortest is shown, each run's own is in its samples.jsonl."
            )
        if self.cut:
            self.found.notes.append(
                f"{counted(self.cut, 'text')} longer than {LONGEST:,} characters, cut and marked so."
            )
        if over:
            names = ", ".join(record.run_id for record in over[:5])
            self.found.notes.append(
                f"{len(over)} runs have no transcripts here, since others fill the {BUDGET // 10**6} million "
                f"characters that this file takes: {names}{' …' if len(over) > 5 else ''}."
            )


def shown_at_first(records: Sequence[Record], found: Transcripts, most: int = SIDE_BY_SIDE) -> list[str]:
    """Return the ids of the runs to set side by side: the likeliest of each method, then those that come first."""
    having = [record for record in records if found.said.get(record.run_id)]

    def nll(record: Record) -> float:
        value = record.number("metrics.completion_nll") or record.number("metrics.completion_ppl")
        return value if value is not None else math.inf

    best: dict[str, Record] = {}
    for record in sorted(having, key=nll):
        best.setdefault(str(record.get("config.peft.method")), record)
    chosen = [record.run_id for record in [*best.values(), *having]]
    kept = list(dict.fromkeys(chosen))[:most]
    return [record.run_id for record in having if record.run_id in kept]
