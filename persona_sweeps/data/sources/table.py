"""Source `table`: a table of prompts and completions under any names, of whole texts, or of conversations.

It reads CSV, TSV, Parquet, JSON, JSON Lines, a folder saved by `datasets`, or an id of the hub. `dataset.columns` names
the columns; those that it doesn't name are guessed, and the guess is reported.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from persona_sweeps.config.checks import one_of
from persona_sweeps.data.example import Example
from persona_sweeps.data.rows.columns import Columns
from persona_sweeps.data.rows.files import Rows
from persona_sweeps.data.sources.row_source import RowSource, TableReading
from persona_sweeps.data.sources.table_reader import TableReader

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig

OPENING_WORDS = 32
"""words of a held-out text that a generated one goes on from"""


@dataclass
class Table(RowSource):
    """The rows of one table, or of two: one to train on and one to evaluate on."""

    columns: Columns = field(default_factory=Columns)
    turns: str = "last"

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        yield from one_of("dataset.turns", self.turns, ("all", "last"))

    def read_table(self, rows: Rows, prefix: str) -> TableReading:
        return TableReader(rows, prefix, self.columns, self.personas, self.turns == "last").read()

    def stand_in(self) -> str:
        from persona_sweeps.data.stand_ins.personas import pairs_of_three

        return str(pairs_of_three())

    def prompts(self, held_out: Sequence[Example]) -> Sequence[Example]:
        """Return the first words of each held-out whole text, which is to be continued; nothing for other examples."""
        return [opening(example) for example in held_out if example.prompt == ""]


def opening(example: Example) -> Example:
    """Return a whole text as a prompt of its first words (of its first half, if it is short), and the rest."""
    words = list(re.finditer(r"\S+", example.completion))
    cut = words[min(OPENING_WORDS, len(words) // 2) - 1].end() if len(words) > 1 else 0
    prompt, rest = example.completion[:cut], example.completion[cut:]
    return replace(example, id=f"{example.id}/opening", prompt=prompt, completion=rest)
