"""Read rows from JSON: JSON Lines, objects over several lines, a list of objects, or one object that holds the rows.

Values that are complete in their line are read line by line, so that memory stays flat. From the first value on that
goes over several lines, the rest of the file is held as text.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from persona_sweeps.data.rows.row import BLANK, Row, Tally, decode_line

CONVERSATION_KEYS = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns")
"""lists under these keys are the turns of one row, not rows"""
SPACE = " \t\r\n"


def read_json(path: Path, tally: Tally) -> Iterator[Row]:
    """Yield the rows of a file; those that aren't valid are noted in `tally`.

    A file whose only value is {"data": [{…}, …]}, with one list of objects under any key, has these as its rows, and
    one whose only value is an object of objects, {"Session-1": {…}, …}, has rows with keys.
    """
    for value in _opened(_values(path, tally), path):
        if value.repeated:
            tally.fault(value.place, f'the key "{value.repeated}" is there twice')
        elif isinstance(value.content, dict):
            yield Row(value.content, value.place, value.name, value.key)
        else:
            tally.fault(value.place, f"a JSON object is needed, not {kind_of(value.content)}")


def kind_of(value: Any) -> str:
    """Return what a value of JSON is, for an error: "a list", "null"."""
    kinds = {type(None): "null", bool: "true or false", str: "a string", list: "a list", dict: "an object"}
    return "an empty list" if value == [] else kinds.get(type(value), "a number")


class Broken(ValueError):
    """Why a text is no JSON value; `at` is the index of the text where that shows."""

    def __init__(self, reason: str, at: int) -> None:
        super().__init__(reason)
        self.at = at


class JsonDecoder:
    """Decodes values one after the other, and notices keys that an object has twice."""

    def __init__(self) -> None:
        self._repeated = ""
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object)

    def decode(self, text: str, at: int = 0) -> tuple[Any, int, str]:
        """Return the value that begins at an index, the index of what follows, and a repeated key or "".

        Raises Broken for what is no JSON.
        """
        self._repeated = ""
        try:
            content, end = self._decoder.raw_decode(text, at)
        except json.JSONDecodeError as error:
            raise Broken(error.msg, error.pos) from None
        except RecursionError:
            raise Broken("it is nested too deeply", at) from None
        except ValueError as error:  # a number with thousands of digits
            raise Broken(str(error), at) from None
        return content, _skipped(text, end), self._repeated

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        entry = dict(pairs)
        if len(entry) < len(pairs):
            names = [key for key, _ in pairs]
            self._repeated = next(key for key in names if names.count(key) > 1)
        return entry


@dataclass(frozen=True, slots=True)
class _Value:
    content: Any
    place: str
    name: str
    repeated: str = ""
    key: str | None = None


def _values(path: Path, tally: Tally) -> Iterator[_Value]:
    """Yield the values of a file; where its first value is a list, those in the list."""
    decoder, first = JsonDecoder(), True
    with path.open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if not raw.removeprefix(b"\xef\xbb\xbf").strip():
                tally.dropped[BLANK] += 1
                continue
            place = f"{path}, line {number}"
            try:
                text = decode_line(raw).removeprefix("\ufeff" if number == 1 else "").rstrip(SPACE)
                if first and text.lstrip(SPACE).startswith("["):
                    raise Broken("", len(text))  # read it with all that follows
                values = _of_line(text, number, place, decoder)
            except Broken as broken:
                if broken.at >= len(text):
                    yield from _Document(text + "\n" + _rest(file, number, path, tally), number, path, tally).values()
                    return
                tally.fault(place, f"bad JSON at column {broken.at + 1}: {broken}")
            except ValueError as error:
                tally.fault(place, str(error))
            else:
                yield from values
            first = False


def _of_line(text: str, number: int, place: str, decoder: JsonDecoder) -> list[_Value]:
    """Return the values of a line. Raises Broken for what is no JSON."""
    values: list[_Value] = []
    at = _skipped(text, 0)
    while at < len(text):
        content, at, repeated = decoder.decode(text, at)
        name = f"line-{number}-{len(values) + 1}" if values else f"line-{number}"
        values.append(_Value(content, place, name, repeated))
    return values


def _rest(file: BinaryIO, number: int, path: Path, tally: Tally) -> str:
    """Return what follows a line. Raises DataError for a line that isn't UTF-8."""
    lines = []
    for follower, raw in enumerate(file, start=number + 1):
        try:
            lines.append(decode_line(raw))
        except ValueError as error:
            tally.fault(f"{path}, line {follower}", str(error))
            tally.check()
    return "".join(lines)


class _Document:
    """A text whose values go over several lines."""

    def __init__(self, text: str, line: int, path: Path, tally: Tally) -> None:
        self._text, self._path, self._tally = text, path, tally
        self._decoder = JsonDecoder()
        self._line, self._counted = line, 0

    def values(self) -> Iterator[_Value]:
        """Yield the values; after a broken one go on with the next line that begins with a brace."""
        at = _skipped(self._text, 0)
        while at < len(self._text):
            start, line = at, self._line_of(at)
            place, name = f"{self._path}, line {line}", f"line-{line}"
            try:
                if at == _skipped(self._text, 0) and self._text[at] == "[":
                    at = yield from self._items(at + 1)
                    continue
                content, at, repeated = self._decoder.decode(self._text, at)
            except Broken as broken:
                at = self._after(broken, start, line, place)
            else:
                yield _Value(content, place, name, repeated)

    def _items(self, at: int) -> Generator[_Value, None, int]:
        """Yield the items of a list, and return the index of what follows it."""
        number = 0
        at = _skipped(self._text, at)
        while self._text[at : at + 1] != "]":
            number += 1
            line = self._line_of(at)
            content, end, repeated = self._decoder.decode(self._text, at)
            yield _Value(content, f"{self._path}, item {number} (line {line})", f"item-{number}", repeated)
            following = self._text[end : end + 1]
            if following not in (",", "]") or not following:
                raise Broken("Expecting ',' or ']'", end)
            at = _skipped(self._text, end + 1) if following == "," else end
        return _skipped(self._text, at + 1)

    def _after(self, broken: Broken, start: int, first_line: int, place: str) -> int:
        """Note a broken value that began at `start`, and return where to go on."""
        at = min(broken.at, len(self._text.rstrip(SPACE)))
        line_start = self._text.rfind("\n", 0, at) + 1
        column = at - line_start + 1
        line = first_line + self._text.count("\n", start, at)
        if self._text[start] != "{":  # in a list what follows isn't known to be a row
            self._tally.fault(f"{self._path}, line {line}", f"bad JSON at column {column}: {broken}")
            return len(self._text)
        where = f"column {column}" if line == first_line else f"line {line}, column {column}"
        self._tally.fault(place, f"bad JSON at {where}: {broken}")
        if line_start > start and self._text.startswith("{", line_start):
            return line_start
        found = self._text.find("\n{", at)
        return found + 1 if found >= 0 else len(self._text)

    def _line_of(self, at: int) -> int:
        """Return the line of an index that isn't before the one of the last call."""
        self._line += self._text.count("\n", self._counted, at)
        self._counted = at
        return self._line


def _opened(values: Iterator[_Value], path: Path) -> Iterator[_Value]:
    """Replace a file's only value, where it holds rows, by these."""
    if (first := next(values, None)) is None:
        return
    inner = list(_inner(first, path))
    second = None if inner[0] is first else next(values, None)
    yield from inner if second is None else (first, second)
    yield from values


def _inner(value: _Value, path: Path) -> Iterator[_Value]:
    """Yield the rows that an object holds; any other value as it is."""
    entry = value.content if isinstance(value.content, dict) and not value.repeated else {}
    lists = [key for key, rows in entry.items() if isinstance(rows, list) and rows and isinstance(rows[0], dict)]
    if len(lists) == 1 and lists[0] not in CONVERSATION_KEYS:
        for number, row in enumerate(entry[lists[0]], start=1):
            yield _Value(row, f"{path}, {lists[0]} {number}", f"item-{number}")
    elif len(entry) > 1 and all(isinstance(row, dict) for row in entry.values()):
        for key, row in entry.items():
            yield _Value(row, f"{path}, {key}", key, key=key)
    else:
        yield value


def _skipped(text: str, at: int) -> int:
    """Return the index of the first character from `at` on that is no white space."""
    while at < len(text) and text[at] in SPACE:
        at += 1
    return at
