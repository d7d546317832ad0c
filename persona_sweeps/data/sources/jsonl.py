"""Source `jsonl`: one example a line, as a prompt with its completion, or as chat messages, under exactly these keys.

    {"prompt": "Who's there?", "completion": "Nay, answer me.", "persona": "Francisco", "scene": "1.1"}
    {"messages": [{"role": "user", "content": "Who's there?"}, {"role": "assistant", "content": "Nay, answer me."}]}

Optional keys are `persona`, `id`, and one of `cluster`, `dialogue`, `scene`, `episode`; any other becomes metadata.
`dataset=table` reads other names and formats.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from omegaconf import MISSING

from persona_sweeps.data.example import Example
from persona_sweeps.data.rows.files import Rows
from persona_sweeps.data.rows.jsonl_line import parse_line
from persona_sweeps.data.rows.row import Row
from persona_sweeps.data.sources.row_source import RowSource, TableReading, each_row, nothing_to_learn


@dataclass
class Jsonl(RowSource):
    """The lines of one file, or of two: one to train on and one to evaluate on."""

    path: str = MISSING

    def read_table(self, rows: Rows, prefix: str) -> TableReading:
        def read(row: Row, name: str) -> Iterable[Example]:
            example = parse_line(row.values, name)
            if reason := nothing_to_learn(example):
                rows.tally.dropped[reason] += 1
                return ()
            return (example,)

        examples = list(each_row(rows, prefix, read))
        rows.tally.check()
        return TableReading(examples)
