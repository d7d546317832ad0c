"""Phrases that several packages use in messages."""

from __future__ import annotations


def pluralize(count: int, noun: str) -> str:
    """Return a number with its noun: 1 run, 2 runs."""
    return f"{count} {noun}{'s' * (count != 1)}"
