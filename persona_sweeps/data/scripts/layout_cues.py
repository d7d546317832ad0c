"""The layout of screenplays: a speaker's name in capitals on its own line, and the speech below it.

Columns say more where there are any: action stands at the left, speeches are indented, names still more. Page numbers,
`(MORE)` and `CONTINUED` belong to the page, and a speech goes on over them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from persona_sweeps.data.scripts.cues import Cue, divided, is_credit, is_heading, is_marker, is_name
from persona_sweeps.data.scripts.layout_lines import Token

LONGEST_NAME = 40
INDENTED = 6
"""columns from action to names, from which on columns say what a line is"""
_PAGE = re.compile(
    r"(?:page\s*)?[-–]?\s*\d{1,3}[a-z]?\s*[-–.]?|\(?\s*more\s*\)?|\(?\s*continued\s*:?\s*\)?(?:\s*\(\d+\))?:?|"
    r"\d{1,3}[a-z]?\.?\s+continued:?.*",
    re.I,
)
_TRANSITION = re.compile(r"(?:.*\b(?:CUT|FADE|DISSOLVE|WIPE|MATCH)\b.*(?:TO|IN|OUT|THROUGH)?\b.*[:.]?|.*\bTO:)")


class _Line(NamedTuple):
    indent: int
    text: str
    after_blank: bool


class _Columns(NamedTuple):
    """The column at which action stands, and whether names are indented from there."""

    action: int
    indented: bool


def cue_tokens(text: str) -> Iterator[Token]:
    """Yield what the lines of a screenplay are; each paragraph of action is one direction."""
    lines = list(_lines(text))
    columns = _columns(lines)
    action: list[str] = []
    speaking = False
    for index, line in enumerate(lines):
        kind, content = _kind(lines, index, columns, speaking)
        if action and (kind != "direction" or line.after_blank):
            yield "direction", " ".join(action)
            action = []
        if kind == "direction":
            action.append(line.text)
        else:
            yield kind, content
        speaking = kind in ("cue", "line")
    if action:
        yield "direction", " ".join(action)


def count_cues(text: str) -> int:
    """Return how many speeches a text has by this layout."""
    lines = list(_lines(text))
    columns = _columns(lines)
    return sum(1 for index in range(len(lines)) if _cue(lines, index, columns))


def _kind(lines: Sequence[_Line], index: int, columns: _Columns, speaking: bool) -> Token:
    """Return what a line is; `speaking`: the line above it is a cue or a line of a speech."""
    line = lines[index]
    if cue := _cue(lines, index, columns):
        return "cue", cue
    if is_heading(line.text):
        return "heading", line.text
    goes_on = line.indent > columns.action + 2 if columns.indented else not line.after_blank
    if speaking and goes_on and not _TRANSITION.fullmatch(line.text):
        return "line", line.text
    return ("credit" if is_marker(line.text) else "direction"), line.text


def _lines(text: str) -> Iterator[_Line]:
    """Yield the lines with something on them, without what belongs to the page."""
    after_blank = True
    for raw in text.expandtabs(8).replace("\f", "\n").split("\n"):
        line = raw.replace("**", "").strip()
        if not line:
            after_blank = True
        elif not _PAGE.fullmatch(line):
            yield _Line(len(raw) - len(raw.lstrip()), line, after_blank)
            after_blank = False


def _columns(lines: Sequence[_Line]) -> _Columns:
    indents = Counter(line.indent for line in lines if not is_heading(line.text))
    usual = [indent for indent, count in indents.items() if count >= 0.03 * len(lines)]
    names = sorted(line.indent for line in lines if _looks_like_name(line.text))
    action = min(usual, default=0)
    return _Columns(action, bool(names) and names[len(names) // 2] >= action + INDENTED)


def _cue(lines: Sequence[_Line], index: int, columns: _Columns) -> Cue | None:
    """Return the cue that a line is: a name in the names' column, or after a blank line, and above a speech."""
    line = lines[index]
    below = lines[index + 1] if index + 1 < len(lines) else None
    if below is None or not _looks_like_name(line.text):
        return None
    if columns.indented:
        is_above_speech = line.indent >= columns.action + INDENTED and below.indent > columns.action + 2
        is_above_speech = is_above_speech and not _looks_like_name(below.text)
    else:
        is_above_speech = line.after_blank and not below.after_blank
    if not is_above_speech or is_heading(below.text) or is_credit(below.text.rstrip(":")):
        return None
    return divided(line.text.rstrip(":"))


def _looks_like_name(text: str) -> bool:
    if len(text) > LONGEST_NAME or is_heading(text) or is_marker(text) or _TRANSITION.fullmatch(text):
        return False
    cue = divided(text.rstrip(":"))
    if cue is None or not cue.name.isupper() or not is_name(cue.name):
        return False
    return re.search(r"(?:[,;-]|\b\w{4,}\.)$", cue.name) is None
