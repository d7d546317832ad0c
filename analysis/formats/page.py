"""The page that tables are printed on for people to read: as wide as the terminal, or a usual width elsewhere."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass

WIDTH = 100
"""columns where the output is no terminal"""
NARROWEST = 40


@dataclass(frozen=True)
class Page:
    """`width` in columns; `wraps_notes`: whether sentences are broken into lines, too, as a terminal would badly."""

    width: int
    wraps_notes: bool


def page() -> Page:
    """Return the page of standard output."""
    if not sys.stdout.isatty():
        return Page(WIDTH, wraps_notes=False)
    return Page(max(NARROWEST, shutil.get_terminal_size((WIDTH, 24)).columns), wraps_notes=True)
