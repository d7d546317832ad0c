"""Source `stories`: stories told from prompts, as WritingPrompts has them, of any number.

A prompt may begin with a tag of its kind, `[WP]`, and other columns may say what is wanted: characters, setting, plot.
These conditions stand before the prompt, one a line. Stories of one prompt are never divided by a split.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from persona_sweeps.data.example import Example, Message
from persona_sweeps.data.formats.detokenize import detokenize, is_tokenized
from persona_sweeps.data.formats.story_files import Aligned, open_parts
from persona_sweeps.data.rows.files import Rows
from persona_sweeps.data.rows.row import Row
from persona_sweeps.data.source import Reading, Source
from persona_sweeps.errors import ConfigError, DataError, did_you_mean

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig

PROMPTS = ("prompt", "wp", "title", "source", "writing_prompt", "input", "instruction")
STORIES = ("story", "completion", "target", "text", "response", "output", "chosen_story")
"""usual names of the columns, the most telling first"""
TAG = "tag"
CONDITIONS = (TAG, "characters", "setting", "plot")
"""what is read as a condition where the config names none"""
TAGGED = re.compile(r"\s*\[\s*(?P<tag>[A-Za-z]{2,3})\s*\]\s*(?P<rest>.*)", re.DOTALL)


STAND_IN_NOTE = (
    "dataset=stories without dataset.path: Shakespeare's scenes stand in, told as stories, each from a prompt made of "
    "its place and its people."
)


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of prompts, stories and conditions; among the conditions `tag` is the prompt's own."""

    prompt: str
    story: str
    conditions: tuple[str, ...]


@dataclass
class Stories(Source):
    """The stories of a table, or of line-aligned files."""

    streams: ClassVar[bool] = True

    path: str | None = None
    eval_path: str | None = None
    prompt_column: str | None = None
    story_column: str | None = None
    conditions: list[str] | None = None
    detokenize: bool | None = None
    card: str | None = None

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        if self.persona is not None:
            yield f"dataset.persona={self.persona}: dataset=stories has no characters to choose from; leave it null."
        if self.path is None and self.eval_path is not None:
            yield "dataset.eval_path is set, and dataset.path, the file to train on, isn't."

    def files(self) -> list[Path]:
        return [file for rows in self._parts().values() for file in rows.files]

    def read(self) -> Reading:
        """Return the stories of `path`, and those of `eval_path`, or of the test files beside it, as held out.

        Raises `DataError` for files that are missing or malformed, `ConfigError` for columns that don't exist.
        """
        parts = self._parts()
        columns, notes = self._columns(self._parts()["train"])
        dropped: Counter[str] = Counter()
        streams = {
            part: _examples(rows, columns, self, f"{part}/" if len(parts) > 1 else "", dropped)
            for part, rows in parts.items()
        }
        digest = hashlib.sha256("".join(f"{part} {rows.fingerprint()}\n" for part, rows in parts.items()).encode())
        # Without test files the validation files are what is held out.
        held_out, validation = ("test", "valid") if "test" in parts else ("valid", "test")
        return Reading(
            streams["train"],
            digest.hexdigest(),
            held_out=streams.get(held_out),
            validation=streams.get(validation),
            dropped=dropped,
            hint=f"They come from {self.path or 'the plays'}.",
            notes=tuple(notes),
        )

    def _parts(self) -> Mapping[str, Rows | Aligned]:
        if self.path is None:
            from persona_sweeps.data.stand_ins.stories import stand_in

            return open_parts(str(stand_in()), None)
        return open_parts(self.path, self.eval_path)

    def _columns(self, rows: Rows | Aligned) -> tuple[Columns, list[str]]:
        """Return the columns to read, and sentences on those that were guessed."""
        first = next(iter(rows), None)
        if first is None:
            rows.tally.check()
            raise DataError(f"dataset.path={self.path} holds no stories.")
        names = list(first.values)
        prompt = _column("prompt_column", self.prompt_column, PROMPTS, names)
        story = _column("story_column", self.story_column, STORIES, names, besides=prompt)
        known = {name.casefold(): name for name in names}
        if self.conditions is None:
            conditions = [known.get(name, name) for name in CONDITIONS if name == TAG or name in known]
        else:
            conditions = [name if name == TAG else _column("conditions", name, (), names) for name in self.conditions]
        notes = [] if self.path is not None else [STAND_IN_NOTE]
        guessed = self.prompt_column is None or self.story_column is None
        if guessed and (prompt, story) != ("prompt", "story"):
            notes.append(f'Column "{prompt}" is read as the prompt, "{story}" as the story (dataset.prompt_column, …).')
        if self.conditions is None and len(conditions) > 1:
            listing = ", ".join(conditions)
            notes.append(f"Conditions in the prompt: {listing} (dataset.conditions chooses others, [] none).")
        return Columns(prompt, story, tuple(conditions)), notes


def _column(key: str, wanted: str | None, usual: Sequence[str], names: Sequence[str], besides: str = "") -> str:
    """Return the column that the config names, in any case, or the first usual one `besides` another.

    Raises ConfigError without one.
    """
    known = {name.casefold(): name for name in reversed(names) if name != besides}
    found = next((known[name.casefold()] for name in ([wanted] if wanted else usual) if name.casefold() in known), None)
    if found is not None:
        return found
    columns = f" The columns are {', '.join(names)}."
    if wanted is None:
        raise ConfigError(f"No column is called {' or '.join(usual[:2])}: set dataset.{key}.{columns}")
    raise ConfigError(f"dataset.{key}={wanted} is no column.{did_you_mean(wanted, names)}{columns}")


def _examples(
    rows: Rows | Aligned, columns: Columns, source: Stories, prefix: str, dropped: Counter[str]
) -> Iterator[Example]:
    """Yield an example for each row; count what is left out. Raises DataError at the end for rows that aren't valid."""
    for row in rows:
        if bad := [
            name for name in (columns.prompt, columns.story) if not isinstance(row.values.get(name, 0), str | None)
        ]:
            rows.tally.fault(row.place, f'"{bad[0]}" must be a text')
            continue
        tag, prompt, story = _texts(row, columns, source.detokenize)
        if not prompt or not story:
            dropped["empty story" if prompt else "empty prompt"] += 1
            continue
        if any(re.search(r"[\ud800-\udfff]", text) for text in (prompt, story)):
            rows.tally.fault(row.place, "half of a character (a lone surrogate such as \\ud83d)")
            continue
        asked = "\n".join(
            [*_conditions(row, columns), f"[{tag}] {prompt}" if tag and TAG in columns.conditions else prompt]
        )
        yield Example(
            f"{prefix}{row.name}",
            (*((Message("system", source.card),) if source.card else ()), Message("user", asked)),
            story,
            f"{prefix}{hashlib.sha256(prompt.casefold().encode()).hexdigest()[:12]}",
            metadata={"tag": tag} if tag else {},
        )
    rows.tally.check()
    dropped.update(rows.tally.dropped)


def _texts(row: Row, columns: Columns, wanted: bool | None) -> tuple[str, str, str]:
    """Return the tag of a row's prompt ("" without one), the prompt without it, and the story."""
    prompt, story = row.values[columns.prompt] or "", row.values[columns.story] or ""
    if wanted or (wanted is None and (is_tokenized(story) or is_tokenized(prompt))):
        prompt, story = detokenize(prompt), detokenize(story)
    match = TAGGED.fullmatch(prompt)
    return (
        (match["tag"].upper(), match["rest"].strip(), story.strip()) if match else ("", prompt.strip(), story.strip())
    )


def _conditions(row: Row, columns: Columns) -> Iterator[str]:
    """Yield the row's conditions as lines: `Characters: Ann, Bob`."""
    for name in columns.conditions:
        if name != TAG and (said := _said(row.values.get(name))):
            yield f"{name.replace('_', ' ').capitalize()}: {said}"


def _said(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(filter(None, map(_said, value)))
    return "" if value is None else " ".join(str(value).split())
