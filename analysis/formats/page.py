"""The page that tables are printed on for people to read: as wide as the terminal, or as asked for."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass

NARROWEST = 40


@dataclass(frozen=True)
class Page:
    """`width` in columns; `wraps_notes`: whether sentences are broken into lines, too, as a terminal would badly."""

    width: int
    wraps_notes: bool


def page(most: int | None = None) -> Page | None:
    """Return the page of standard output, of at most so many columns; None for a pipe or file, which has whole rows."""
    if sys.stdout.isatty():
        try:
            width = os.get_terminal_size(sys.stdout.fileno()).columns
            return Page(max(NARROWEST, min(width, most or width)), wraps_notes=True)
        except OSError:  # a terminal that doesn't say how wide it is
            pass
    return None if most is None else Page(max(NARROWEST, most), wraps_notes=False)
