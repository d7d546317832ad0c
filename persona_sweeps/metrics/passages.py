"""Passages of prose that no character says: those of the package, or a user's file."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

PASSAGES = Path(__file__).with_name("texts") / "nobody.txt"


def passages(file: Path) -> Sequence[str]:
    """Return the passages of a text file, divided by empty lines. Raises OSError and UnicodeDecodeError."""
    text = file.read_text(encoding="utf-8")
    return [" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip()]
