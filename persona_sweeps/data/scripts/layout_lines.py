"""The layouts that begin a speech on its speaker's line: `Ross: Hi.`, `ROSS. Hi.`, or with a tab between them."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from persona_sweeps.data.scripts.cues import Cue, cue_line, divided, is_credit_line, is_heading, is_marker

LONGEST_BRACKET = 600
"""characters of a stage direction over several lines; a longer one was never closed"""
_SCENE = re.compile(r"[ \t]*(\[\s*scene\b[^\[\]]*\]|\(\s*scene\b[^()]*\)|[\[(]\s*scene\b[^\n]*)[ \t]*", re.I)
_BRACKET = re.compile(rf"\[[^\[\]]{{1,{LONGEST_BRACKET}}}\]|\([^()]{{1,{LONGEST_BRACKET}}}\)")

Token = tuple[str, str | Cue]
"""(heading | cue | line | direction | credit, its text)"""


def line_tokens(text: str, delimiter: str, known: Collection[str] = ()) -> Iterator[Token]:
    """Yield what each line of a script is; a name of `known` begins a speech in any case, and also inside a line."""
    second = _second_speech(known, delimiter)
    after_blank = False
    for raw in _joined(_apart(text)).split("\n"):
        line = raw.strip()
        if line:
            yield from _tokens(line, delimiter, known, second, after_blank)
        after_blank = not line


def count_cue_lines(text: str, delimiter: str) -> int:
    """Return how many lines begin with a cue and a speech."""
    cues = (cue_line(line.strip(), delimiter) for line in text.split("\n") if delimiter in line or delimiter == ":")
    return sum(1 for found in cues if found is not None and (found.text or delimiter == ":"))


def leading_names(text: str, delimiter: str) -> Iterator[str]:
    """Yield the names that lines begin with."""
    for line in text.split("\n"):
        if found := cue_line(line.strip(), delimiter):
            yield found.cue.name


def _tokens(
    line: str, delimiter: str, known: Collection[str], second: re.Pattern[str] | None, after_blank: bool
) -> Iterator[Token]:
    if is_heading(line):
        yield "heading", line
    elif is_marker(line) or is_credit_line(line):
        yield "credit", line
    elif line[0] in "[(" and (end := _end_of_direction(line)) is not None:
        yield "direction", line[:end]
        if rest := line[end:].strip(" ."):
            yield from _tokens(rest, delimiter, known, second, after_blank)
    elif found := cue_line(line, delimiter, known):
        yield "cue", found.cue
        yield from _said(found.text, second)
    elif after_blank:
        yield "direction", line
    else:
        yield "line", line


def _end_of_direction(line: str) -> int | None:
    """Return where the direction that opens a line ends, if it is one: alone, before a cue, or never closed."""
    depth = 0
    for index, letter in enumerate(line):
        depth += (letter in "([") - (letter in ")]")
        if depth == 0:
            rest = line[index + 1 :].strip(" .")
            return index + 1 if not rest or cue_line(rest) else None
    return len(line)


def _said(text: str, second: re.Pattern[str] | None) -> Iterator[Token]:
    """Yield a speech, and those that begin later on the same line."""
    start = 0
    for match in second.finditer(text) if second else ():
        if (cue := divided(match["cue"])) is not None:
            if said := text[start : match.start()].strip():
                yield "line", said
            yield "cue", cue
            start = match.end()
    if said := text[start:].strip():
        yield "line", said


def _second_speech(known: Collection[str], delimiter: str) -> re.Pattern[str] | None:
    """Return what finds a known name that begins a speech inside a line: after the end of a sentence."""
    if not known:
        return None
    names = "|".join(re.escape(name) for name in sorted(known, key=lambda name: (-len(name), name)))
    cue = rf"(?P<cue>\b(?:{names})(?:\s*[(\[][^()\[\]]{{0,60}}[)\]])?)"
    return re.compile(rf"(?<=[.!?…'\"”’)\]–—-])\s*{cue}\s*{re.escape(delimiter)}(?=\s)", re.I)


def _apart(text: str) -> str:
    """Put each `[Scene …]` on a line of its own, wherever it stands."""
    return _SCENE.sub(lambda match: f"\n{' '.join(match[1].split())}\n", text)


def _joined(text: str) -> str:
    """Join a bracket that goes over several lines, unless a blank line or a speech begins inside it."""

    def joined(match: re.Match[str]) -> str:
        lines = match[0].split("\n")
        if len(lines) == 1 or any(not line.strip() or cue_line(line.strip()) for line in lines[1:]):
            return match[0]
        return " ".join(map(str.strip, lines))

    return _BRACKET.sub(joined, text)
