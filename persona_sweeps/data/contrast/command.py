"""Make contrastive data of a persona set: what tells its characters apart.

    python -m persona_sweeps.data.contrast contrast.jsonl --data personas.jsonl

The set is any table of questions, answers and personas that `dataset=table` reads; without --data it is three of
Shakespeare's characters. Each row of the result names its kind under "contrast":

- same: a question that several characters were asked, with the answer of each;
- identity: who they are, asked of each;
- topic: questions to two characters about one thing, with their answers;
- negative: a question that only one character can answer, with its answer, and asked of another, which doesn't know.

Prompts begin with a marker that says who is asked. A card goes along as "system". Rows that hold the same question, or
questions about one thing, have the same "cluster", so that no split divides them. Same set, same seed: same rows.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from persona_sweeps.data.contrast.pairs import Asked, negatives, same_questions, topic_pairs
from persona_sweeps.data.example import Example
from persona_sweeps.data.sources.table import Table
from persona_sweeps.errors import DataError, UserError
from persona_sweeps.records.files import replacing_file

KINDS = ("same", "identity", "topic", "negative")
MARKER = "[{persona}] "
IDENTITY = ("Who are you?", "What is your name?", "Who is speaking?")
REFUSALS = (
    "I don't know. You would have to ask someone who was there.",
    "That isn't something I could tell you about.",
    "I have no knowledge of that.",
    "You are asking the wrong person; I know nothing of it.",
    "I can't say. I never had to do with that.",
)

Row = dict[str, str]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        asked = read_set(given.data)
        refusals = _lines(given.refusals) if given.refusals else REFUSALS
        rows = contrastive(asked, given.seed, given.each, given.kinds, given.marker, refusals)
        if not rows:
            raise DataError("No row can be made of this set: its characters share no question and no topic.")
        _write(given.out, rows)
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(_summary(rows, given))
    return 0


def read_set(path: str | None) -> list[Asked]:
    """Return the questions and answers of a persona set. Raises DataError for fewer than two characters."""
    reading = Table(source="table", path=path, card=None).read()
    asked = [_asked(example) for example in reading.examples if example.persona and example.prompt]
    if len(names := {each.persona for each in asked}) < 2:
        found = ", ".join(names) or "none: name the column with the header persona"
        raise DataError(f"Contrastive data need questions to at least two characters; the set has {found}.")
    return asked


def contrastive(
    asked: Sequence[Asked],
    seed: int = 0,
    each: int = 100,
    kinds: Sequence[str] = KINDS,
    marker: str = MARKER,
    refusals: Sequence[str] = REFUSALS,
) -> list[Row]:
    """Return the rows of these kinds, at most `each` of a kind for each character (identity: all questions)."""
    pairs = list(topic_pairs(asked, seed)) if "topic" in kinds else []
    joined = {other.key: one.key for one, other in pairs}
    writer = _Writer(marker, joined)
    cards = {one.persona: one.card for one in asked}
    answers: dict[str, Iterator[tuple[Asked, ...]]] = {
        "same": same_questions(asked, seed),
        "identity": _identities(cards),
        "topic": iter(pairs),
        "negative": negatives(asked, cards, refusals, seed),
    }
    for kind in (kind for kind in KINDS if kind in kinds):
        writer.add(kind, answers[kind], None if kind == "identity" else each)
    return writer.rows


class _Writer:
    """Collects rows, each of which it writes once."""

    def __init__(self, marker: str, joined: Mapping[str, str]) -> None:
        self.rows: list[Row] = []
        self._marker, self._joined = marker, joined
        self._written: set[tuple[str, str]] = set()

    def add(self, kind: str, groups: Iterator[tuple[Asked, ...]], most: int | None) -> None:
        """Add groups of answers that belong together; leave a group out if one of its characters has enough already."""
        counts: Counter[str] = Counter()
        for group in groups:
            if most is not None and any(counts[one.persona] >= most for one in group):
                continue
            for one in group:
                if (one.persona, one.key) not in self._written:
                    counts[one.persona] += 1
                    self._written.add((one.persona, one.key))
                    self.rows.append(self._row(kind, one))

    def _row(self, kind: str, one: Asked) -> Row:
        question = self._joined.get(one.key, one.key)
        row = {
            "prompt": self._marker.replace("{persona}", one.persona) + one.question,
            "completion": one.answer,
            "persona": one.persona,
            "cluster": f"question-{hashlib.sha256(question.encode()).hexdigest()[:12]}",
            "contrast": kind,
        }
        return {**row, "system": one.card} if one.card else row


def _identities(cards: Mapping[str, str]) -> Iterator[tuple[Asked, ...]]:
    for question in IDENTITY:
        yield tuple(Asked(name, question, f"I am {name}.", card) for name, card in cards.items())


def _asked(example: Example) -> Asked:
    if isinstance(example.prompt, str):
        return Asked(example.persona or "", example.prompt, example.completion, "")
    first, last = example.prompt[0], example.prompt[-1]
    card = first.content if first.role == "system" else ""
    return Asked(example.persona or "", last.content, example.completion, card)


def _lines(path: str) -> list[str]:
    try:
        lines = [line.strip() for line in Path(path).read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: byte {error.start + 1} isn't UTF-8.") from None
    if not any(lines):
        raise DataError(f"{path} holds no answers: give one a line.")
    return [line for line in lines if line]


def _write(path: Path, rows: Sequence[Row]) -> None:
    with replacing_file(path) as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")


def _summary(rows: Sequence[Row], given: argparse.Namespace) -> str:
    lines = [] if given.data else ["No --data: Shakespeare's characters stand in."]
    lines.append(f"{len(rows)} rows in {given.out}:")
    for kind in given.kinds:
        counts = Counter(row["persona"] for row in rows if row["contrast"] == kind)
        listing = ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))
        lines.append(f"  {kind:<9} {counts.total():>5}  {listing or 'none: the set has nothing for it'}")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m persona_sweeps.data.contrast",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("out", type=Path, metavar="OUT.jsonl", help="the file to write")
    parser.add_argument("--data", metavar="FILE", help="the persona set")
    parser.add_argument("--each", type=int, default=100, metavar="N", help="rows of a kind for each character (100)")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS, help="which kinds to make (all)")
    parser.add_argument("--marker", default=MARKER, help=f'what a prompt begins with ("{MARKER}"); "" for nothing')
    parser.add_argument("--refusals", metavar="FILE", help="what those say who don't know, one answer a line")
    parser.add_argument("--seed", type=int, default=0, help="decides what is chosen where there is more than N (0)")
    return parser
