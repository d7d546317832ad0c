"""Small turns of phrase that several parts use."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Return a number with its noun: 1 run, 2 runs."""
    return f"{count} {noun}{'s' * (count != 1)}"
