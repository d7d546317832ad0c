"""Make examples of the rows of one table, each by the layout that its columns have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.personas import require_known
from persona_sweeps.data.rows.columns import Columns, Layout, check_named, layout_of
from persona_sweeps.data.rows.files import Rows
from persona_sweeps.data.rows.messages import Turn, turns_of
from persona_sweeps.data.rows.row import Row, RowError
from persona_sweeps.data.rows.turns import Dialogue, examples_of_turns
from persona_sweeps.data.rows.values import label, text_of
from persona_sweeps.data.sources.row_source import TableReading, each_row, nothing_to_learn
from persona_sweeps.errors import DataError


class TableReader:
    """Reads one table; the layouts of its rows are found once for each set of keys."""

    def __init__(self, rows: Rows, prefix: str, columns: Columns, personas: Sequence[str], last: bool) -> None:
        self._rows, self._prefix, self._columns = rows, prefix, columns
        self._personas, self._last = personas, last
        self._layouts: dict[tuple[str, ...], Layout] = {}
        self._seen: dict[str, None] = {}
        self._row_names: list[str] = []
        self._no_layout = ""
        self._speakers: set[str] = set()

    def read(self) -> TableReading:
        """Return the examples, and what was guessed.

        Raises DataError for rows that aren't valid, ConfigError for a column of the config that isn't there.
        """
        examples = list(each_row(self._rows, self._prefix, self._row))
        check_named(self._columns, self._seen, self._rows.name)
        if self._no_layout and not self._layouts:
            raise DataError(f"{self._rows.name}: {self._no_layout}.")
        self._rows.tally.check()
        if self._speakers:
            require_known(self._personas, self._speakers)
        every = (note for layout in self._layouts.values() for note in layout.notes(self._rows.name))
        notes = list(dict.fromkeys(every))
        if any("id" in layout.guessed for layout in self._layouts.values()) and _any_repeated(examples):
            examples = [_renamed(*pair) for pair in zip(examples, self._row_names, strict=True)]
            notes.append(f"{self._rows.name}: its ids aren't unique, so that the row's number goes in front of them.")
        return TableReading(examples, tuple(notes))

    def _row(self, row: Row, name: str) -> Iterable[Example]:
        examples = self._examples(row, name)
        self._row_names += [name] * len(examples)
        return examples

    def _examples(self, row: Row, name: str) -> list[Example]:
        keys = tuple(map(str, row.values))
        if keys not in self._layouts:
            self._seen |= dict.fromkeys(keys)
            try:
                self._layouts[keys] = layout_of(keys, self._columns)
            except RowError as error:
                self._no_layout = self._no_layout or str(error)
                raise
        layout, dropped = self._layouts[keys], self._rows.tally.dropped
        messages = layout.column("messages")
        if messages is not None:
            return self._of_messages(row.values[messages], messages, row, layout, name)
        prompt = [row.values[column] for column in layout.columns["prompt"]]
        if len(prompt) == 1 and isinstance(prompt[0], list):
            completion = row.values[layout.columns["completion"][0]]
            answer = completion if isinstance(completion, list) else [{"role": "assistant", "content": completion}]
            return self._of_messages([*prompt[0], *answer], "prompt", row, layout, name)
        example = _pair(row, layout, name)
        if reason := _no_text(example, layout):
            dropped[reason] += 1
            return []
        return [example]

    def _of_messages(self, value: Any, key: str, row: Row, layout: Layout, name: str) -> list[Example]:
        dropped = self._rows.tally.dropped
        turns = turns_of(value, key, dropped)
        if (system := _system(row, layout)) and not any(turn.role == "system" for turn in turns):
            turns.insert(0, Turn("system", None, system, 0))
        persona = _label(row, layout, "persona")
        self._speakers.update(filter(None, [persona, *(turn.name for turn in turns)]))
        identity = _label(row, layout, "id") or name
        dialogue = Dialogue(
            identity,
            _label(row, layout, "cluster") or identity,
            persona,
            _metadata(row, layout),
            turns,
        )
        last = self._last or key == "prompt"
        return examples_of_turns(dialogue, self._personas, last, dropped)


def _pair(row: Row, layout: Layout, name: str) -> Example:
    texts = [text_of(row.values[column], column).strip("\n") for column in layout.columns["prompt"]]
    prompt = "\n\n".join(text for text in texts if text.strip())
    completion = layout.columns["completion"][0]
    system = _system(row, layout)
    identity = _label(row, layout, "id") or name
    return Example(
        id=identity,
        prompt=(Message("system", system), Message("user", prompt)) if system and not layout.whole_text else prompt,
        completion=text_of(row.values[completion], completion),
        cluster=_label(row, layout, "cluster") or identity,
        persona=_label(row, layout, "persona"),
        metadata=_metadata(row, layout),
    )


def _no_text(example: Example, layout: Layout) -> str | None:
    if layout.whole_text:
        return None if example.completion.strip() else "empty text"
    return nothing_to_learn(example)


def _system(row: Row, layout: Layout) -> str:
    column = layout.column("system")
    return text_of(row.values[column], column) if column is not None else ""


def _label(row: Row, layout: Layout, role: str) -> str | None:
    column = layout.column(role)
    found = label(row.values[column], column) if column is not None else None
    return (found.strip() or None) if found else None


def _metadata(row: Row, layout: Layout) -> dict[str, Any]:
    return {str(key): value for key, value in row.values.items() if key not in layout.used}


def _any_repeated(examples: Sequence[Example]) -> bool:
    return max(Counter(example.id for example in examples).values(), default=0) > 1


def _renamed(example: Example, name: str) -> Example:
    dialogue = None if example.dialogue is None else f"{name}/{example.dialogue}"
    return replace(example, id=f"{name}/{example.id}", dialogue=dialogue)
