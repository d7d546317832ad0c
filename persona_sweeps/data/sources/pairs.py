"""Source `pairs`: what a character says, in answer to the one line before; from the usual formats of dialogue corpora.

`pair_formats` describes the formats. Lines of one speaker in a row are one; the split is by scene, conversation or
episode where a format has it, else each pair is on its own.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_sweeps.config.checks import one_of
from persona_sweeps.data.example import Example
from persona_sweeps.data.formats.pair_formats import FORMATS, Line, format_of, in_order, lines_of
from persona_sweeps.data.rows.files import Rows
from persona_sweeps.data.rows.row import RowError
from persona_sweeps.data.scripts.speakers import Cast, as_lists, is_crowd, name_lists
from persona_sweeps.data.source import Reading
from persona_sweeps.data.sources.row_source import RowSource, TableReading
from persona_sweeps.errors import DataError

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig

EMPTY = "empty line"
NOBODY = "line without a speaker (a stage direction)"
FIRST = "line that answers nothing: the first of its scene"
LOST = "reply to a line that isn't there"
OWN = "reply to one's own line"


@dataclass
class Pairs(RowSource):
    """The lines of one table, or of a folder: of ConvoKit, or of JSON files."""

    format: str = "auto"
    aliases: Any = None

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        yield from one_of("dataset.format", self.format, FORMATS)
        yield from name_lists(self.aliases, "dataset.aliases")

    def read(self) -> Reading:
        """Return the pairs of the characters; those of a folder together. Raises what `RowSource.read` does."""
        folder = None if self.path is None else Path(self.path).expanduser()
        if folder is None or not folder.is_dir():
            return super().read()
        if (folder / "utterances.jsonl").is_file():
            return replace(self, path=str(folder / "utterances.jsonl")).read()
        files = sorted(folder.glob("*.json"))
        if not files:
            raise DataError(f"dataset.path={folder} holds neither ConvoKit's utterances.jsonl nor any .json file.")
        return self._together(files)

    def stand_in(self) -> str:
        from persona_sweeps.data.stand_ins.pairs import stand_in

        return str(stand_in())

    def read_table(self, rows: Rows, prefix: str) -> TableReading:
        found: list[Line] = []
        name = self.format
        for row in rows:
            try:
                name = format_of(row) if name == "auto" else name
                found += lines_of(row, name, prefix)
            except RowError as error:
                rows.tally.fault(row.place, str(error))
                if name == "auto":
                    break
        rows.tally.check()
        examples = _Pairing(found, name, as_lists(self.aliases), self.personas, rows.tally.dropped).examples()
        alone = len({example.cluster for example in examples}) == len(examples)
        note = f"{rows.name} names no scene or episode, so each pair is split on its own; neighbours may be divided."
        return TableReading(examples, (note,) if alone and examples else ())

    def _together(self, files: Sequence[Path]) -> Reading:
        parts = [replace(self, path=str(file), persona=None, card=None).read() for file in files]
        examples = [example for part in parts for example in part.examples]
        dropped: Counter[str] = Counter()
        for part in parts:
            dropped.update(part.dropped)
        return Reading(
            self._prepared(examples),
            hashlib.sha256("\0".join(part.fingerprint for part in parts).encode()).hexdigest(),
            dropped=dict(dropped),
            hint=f"They come from {self.path}.",
            notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
        )


class _Pairing:
    """Pairs each line with what it answers, and counts those that answer nothing."""

    def __init__(
        self,
        found: Sequence[Line],
        name: str,
        aliases: dict[str, list[str]],
        personas: Sequence[str],
        dropped: Counter[str],
    ) -> None:
        cast = Cast((speaker for line in found for speaker in line.speakers), aliases)
        lines = in_order(found) if name == "quotes" else found
        self._lines = [_with_cast(line, cast) for line in lines]
        self._by_reply = name == "convokit"
        self._has_nameless = name == "qa"
        self._wanted = {cast.one(persona).casefold() for persona in personas}
        self._dropped = dropped

    def examples(self) -> list[Example]:
        """Return an example for each speaker of each line that answers another."""
        if self._has_nameless:
            pairs = [(line.asked, line) for line in self._lines]
        else:
            pairs = list(self._replies() if self._by_reply else self._neighbours())
        return [example for asked, line in pairs for example in self._pair(asked or "", line)]

    def _neighbours(self) -> Iterator[tuple[str | None, Line]]:
        """Yield each line with the one before it in its scene; a speaker's lines in a row are one."""
        for _, group in groupby(self._lines, key=lambda line: line.scene):
            before: Line | None = None
            spoken = (line for line in group if self._is_spoken(line))
            for _, row in groupby(spoken, key=lambda line: line.speakers):
                lines = list(row)
                line = replace(lines[0], text=" ".join(line.text for line in lines))
                if before is None:
                    self._drop(FIRST, line)
                else:
                    yield before.text, line
                before = line

    def _replies(self) -> Iterator[tuple[str | None, Line]]:
        """Yield each line with the one that it names; where that one is a stage direction, with what it answers."""
        by_id = {line.id: line for line in self._lines}
        for line in self._lines:
            if not self._is_spoken(line):
                continue
            parent, seen = line, {line.id}
            while parent.answers in by_id and parent.answers not in seen:
                parent = by_id[parent.answers]
                seen.add(parent.id)
                if parent.text and parent.speakers:
                    break
            if parent is line or not (parent.text and parent.speakers):
                self._drop(LOST if parent.answers is not None else FIRST, line)
            elif parent.speakers == line.speakers:
                self._drop(OWN, line)
            else:
                yield parent.text, line

    def _is_spoken(self, line: Line) -> bool:
        if not line.text:
            self._drop(EMPTY, line)
        elif not line.speakers:
            self._drop(NOBODY, line)
        return bool(line.text and line.speakers)

    def _pair(self, asked: str, line: Line) -> Iterator[Example]:
        if not asked or not line.text:
            self._drop("empty prompt" if line.text else "empty completion", line)
            return
        for speaker in line.speakers or (None,):
            if speaker is not None and is_crowd(speaker):
                continue
            name = f"{line.id}-{speaker}" if len(line.speakers) > 1 else line.id
            yield Example(id=name, prompt=asked, completion=line.text, cluster=line.scene or line.id, persona=speaker)

    def _drop(self, reason: str, line: Line) -> None:
        """Count a line that gives no example, unless it is somebody's who isn't learned anyway."""
        if not self._wanted or not line.speakers or self._wanted & {name.casefold() for name in line.speakers}:
            self._dropped[reason] += 1


def _with_cast(line: Line, cast: Cast) -> Line:
    if len(line.speakers) == 1:
        return replace(line, speakers=cast.speakers(line.speakers[0]))
    return replace(line, speakers=tuple(map(cast.one, line.speakers)))
