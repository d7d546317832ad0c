"""Phrases that several packages use in messages."""

from __future__ import annotations

import re


def pluralize(count: int, noun: str) -> str:
    """Return a number with its noun: 1 run, 2 runs."""
    return f"{count} {noun}{'s' * (count != 1)}"


_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""control characters but for tabs and line feeds, and those that turn the direction of text"""


def harmless(text: str) -> str:
    """Return a text that a terminal only shows: what would act on it is shown by its code."""
    return _ACTING.sub(lambda found: f"[U+{ord(found[0]):04X}]", text)


def duration(seconds: float) -> str:
    """Write a length of time in one unit, such as 12 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def size(count: int) -> str:
    """Write a number of bytes, such as 19.5 MB."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} B"
