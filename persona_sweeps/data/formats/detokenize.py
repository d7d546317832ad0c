"""Undo the tokenization that WritingPrompts and other corpora are published in: `` quotes '', is n't, a space , here.

White space and quotes are all that changes. A text that was never tokenized keeps its words and its punctuation.
"""

from __future__ import annotations

import re
from itertools import count

NEWLINE = re.compile(r"[^\S\n]*<\s?newline\s?>[^\S\n]*", re.IGNORECASE)
_BRACKETS = {"-LRB-": "(", "-RRB-": ")", "-LSB-": "[", "-RSB-": "]", "-LCB-": "{", "-RCB-": "}"}
_END = r"(?=[\s\"'’”)\]}]|$)"
"""what follows a mark that stands as a token of its own"""

_RULES = [
    (re.compile(r"``\s*"), '"'),
    (re.compile(r"(?<=\w)\s+(n['’]t)\b", re.I), r"\1"),
    (re.compile(r"(?<=\w)\s+(['’](?:s|re|ve|ll|d|m))\b(?![-'’\w])", re.I), r"\1"),
    (re.compile(r"\b(gon|wan)\s+(na)\b", re.I), r"\1\2"),
    (re.compile(r"\b(got)\s+(ta)\b", re.I), r"\1\2"),
    (re.compile(r"\b(gim|lem)\s+(me)\b", re.I), r"\1\2"),
    (re.compile(rf"(?<=\S)\s+(\.\.\.|[,.!?%…)\]}}]){_END}"), r"\1"),
    (re.compile(r"(?<=\S)\s+([;:])(?=[\s\"'’”]|$)"), r"\1"),
    (re.compile(r"((?:^|(?<=[\s\"“(\[{]))[(\[{$£€])\s+(?=\S)"), r"\1"),
    (re.compile(r"\s+"), " "),
]


_MARKS = re.compile(r"``|<\s?newline\s?>|\w n['’]t\b|\w ['’]s\b|\w , \w", re.IGNORECASE)


def is_tokenized(text: str) -> bool:
    """Return whether a text shows marks of tokenization: ``, <newline>, is n't, it 's, or a space before a comma."""
    return _MARKS.search(text) is not None


def detokenize(text: str) -> str:
    """Return a text as it was before it was tokenized; `<newline>` becomes a line break, and words stay apart."""
    return "\n".join(_line(line) for line in NEWLINE.sub("\n", text).split("\n")).strip()


def _line(line: str) -> str:
    for written, mark in _BRACKETS.items():
        line = re.sub(rf"(?<!\S){written}(?!\S)", mark, line, flags=re.I)
    line = _closing_quotes(line)
    for pattern, replacement in _RULES:
        line = pattern.sub(replacement, line)
    return _lone_quotes(line).strip()


def _closing_quotes(line: str) -> str:
    """Write '' as a quote: at the end of what it closes, or before what it opens."""
    line = re.sub(r"(?<=\S)\s*''(?!\w)", '"', line)
    return re.sub(r"''\s*", '"', line)


def _lone_quotes(line: str) -> str:
    """Move each quote that has spaces on both sides to what it opens or closes, which alternate in a line."""
    if not re.search(r'(?:^|\s)"(?:\s|$)', line):
        return line
    number = count()

    def moved(match: re.Match[str]) -> str:
        before, after = match[1], match[2]
        opens = next(number) % 2 == 0
        if not (before or match.start() == 0) or not (after or match.end() == len(line)):
            return match[0]
        return f'{before}"' if opens else f'"{after}'

    return re.sub(r'(\s*)"(\s*)', moved, line)
