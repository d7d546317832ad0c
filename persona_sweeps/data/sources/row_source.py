"""The base of sources that make examples of the rows of one table, or of two: one to train on, one to evaluate on."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from persona_sweeps.data.cards.card_files import card_text, is_card_file
from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.personas import of_personas
from persona_sweeps.data.rows.files import Rows, open_rows, source_files
from persona_sweeps.data.rows.row import Row, RowError
from persona_sweeps.data.source import Reading, Source
from persona_sweeps.errors import DataError

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig

AUTO, AUTO_CARD = "auto", "You are {persona}."
NO_CARD = (None, "", "none")
SHOWN_IDS = 5
SHOWN_PERSONAS = 5


class TableReading(NamedTuple):
    """The examples of a table, and sentences for the user on how it was read."""

    examples: list[Example]
    notes: tuple[str, ...] = ()


@dataclass
class RowSource(Source):
    """A source that reads a table. Subclasses implement `read_table`, and `stand_in` if they can do without a path."""

    path: str | None = None
    eval_path: str | None = None
    split: str | None = None
    eval_split: str | None = None
    card: Any = AUTO
    """a text or a card's file, or one for each persona; auto: the persona's name; None or none for no card"""

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        cards = self.card.values() if isinstance(self.card, Mapping) else [self.card]
        if not all(card is None or isinstance(card, str) for card in cards):
            yield f"dataset.card={self.card} must be a text, a card's file, one of these for each persona, or null."

    def files(self) -> list[Path]:
        cards = self.card.values() if isinstance(self.card, Mapping) else [self.card]
        card_files = [card for card in cards if isinstance(card, str) and is_card_file(card)]
        return source_files(self.path, self.eval_path, *card_files)

    def read(self) -> Reading:
        """Return the examples of `path`, and those of `eval_path` or `eval_split` as held out.

        Raises `DataError` for a table that is missing or malformed (naming the first bad rows) or for ids on several
        rows, and `ConfigError` for a persona that no row names.
        """
        path = self.stand_in() if self.path is None else self.path
        notes = [] if self.path else [f"No dataset.path: Shakespeare stands in, as a file for dataset={self.source}."]
        rows = open_rows(path, "dataset.path", self.split)
        examples, reading_notes = self.read_table(rows, "")
        digest, held_out, dropped = rows.fingerprint(), None, rows.tally.dropped
        if self.eval_path is not None or self.eval_split is not None:
            eval_rows = open_rows(self.eval_path or path, "dataset.eval_path", self.eval_split)
            held_out, more = self.read_table(eval_rows, "eval-")
            digest = hashlib.sha256(f"{digest}\0eval\0{eval_rows.fingerprint()}".encode()).hexdigest()
            dropped = dropped + eval_rows.tally.dropped
            reading_notes = (*reading_notes, *more)
        _require_unique([*examples, *(held_out or [])])
        return Reading(
            self._prepared(examples),
            digest,
            held_out=None if held_out is None else self._prepared(held_out),
            dropped=dict(dropped),
            hint=f"They come from {path}.",
            notes=(
                *notes,
                *reading_notes,
                *self._mixed(examples),
                *self._unused_card([*examples, *(held_out or [])]),
            ),
        )

    def stand_in(self) -> str:
        """Return the path of what is read where `path` is null."""
        raise DataError(f"dataset={self.source} needs dataset.path.")

    def read_table(self, rows: Rows, prefix: str) -> TableReading:
        """Return the examples of a table, with `prefix` in front of default ids; count what gives none in its tally.

        Raises DataError with the first rows that aren't valid.
        """
        raise NotImplementedError(f"{type(self).__name__}.read_table")

    def _unused_card(self, examples: Sequence[Example]) -> Iterator[str]:
        """Yield a sentence if the card isn't put before some examples."""
        own = sum(with_card(example, "card") is example for example in examples)
        if self.card not in (*NO_CARD, AUTO) and own:
            yield (
                f"dataset.card isn't put before {own} of {len(examples)} examples, "
                "which have a system message of their own, or no prompt."
            )

    def _mixed(self, examples: Sequence[Example]) -> Iterator[str]:
        """Yield a sentence if several characters are learned and none was asked for."""
        counts = Counter(example.persona for example in examples if example.persona)
        if self.personas or len(counts) < 2:
            return
        listed = ", ".join(f"{name} ({count})" for name, count in counts.most_common(SHOWN_PERSONAS))
        more = f" and {len(counts) - SHOWN_PERSONAS} more" if len(counts) > SHOWN_PERSONAS else ""
        yield (
            f"{len(counts)} personas are learned together: {listed}{more}. "
            f"dataset.persona='{counts.most_common(1)[0][0]}' learns that one alone."
        )

    def _card_of(self, persona: str | None) -> str | None:
        if self.card in NO_CARD or (self.card == AUTO and persona is None):
            return None
        return card_text(AUTO_CARD if self.card == AUTO else self.card, persona)

    def _prepared(self, examples: Iterable[Example]) -> list[Example]:
        """Return the examples of the personas, with the card in front of those that have none."""
        cards: dict[str | None, str | None] = {}
        prepared = []
        for example in of_personas(examples, self.personas):
            if example.persona not in cards:
                cards[example.persona] = self._card_of(example.persona)
            prepared.append(with_card(example, cards[example.persona]))
        return prepared


def each_row(rows: Rows, prefix: str, read: Callable[[Row, str], Iterable[Example]]) -> Iterator[Example]:
    """Yield the examples of all rows; `read` gives those of a row with its name, or raises RowError, which is noted."""
    for row in rows:
        try:
            yield from read(row, prefix + row.name)
        except RowError as error:
            rows.tally.fault(row.place, str(error))


def nothing_to_learn(example: Example) -> str | None:
    """Return why an example can't be used, as a reason of `Corpus.dropped`; None if it can."""
    last_message = example.prompt if isinstance(example.prompt, str) else example.prompt[-1].content
    if not example.completion.strip():
        return "empty completion"
    return None if last_message.strip() else "empty prompt"


def with_card(example: Example, card: str | None) -> Example:
    """Put a persona card in front of an example as the system message, unless it has one or is a whole text."""
    if not card or example.prompt == "":
        return example
    turns = (Message("user", example.prompt),) if isinstance(example.prompt, str) else example.prompt
    return example if turns[0].role == "system" else replace(example, prompt=(Message("system", card), *turns))


def _require_unique(examples: Sequence[Example]) -> None:
    repeated = [name for name, count in Counter(example.id for example in examples).items() if count > 1]
    if repeated:
        listing = ", ".join(repeated[:SHOWN_IDS])
        raise DataError(f"{len(repeated)} ids are on more than one line, and each must be unique: {listing}.")
