"""Check single values; each check yields sentences that name the key. Kinds and config/validate.py use them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from persona_sweeps.errors import did_you_mean


def one_of(key: str, value: str, known: Iterable[str]) -> Iterator[str]:
    """Yield a sentence, with the nearest name, unless the value is one of the known names."""
    names = list(known)
    if value not in names:
        yield f"{key}={value} is unknown: choose one of {', '.join(names)}.{did_you_mean(value, names)}"


def at_least(key: str, value: float | None, minimum: float) -> Iterator[str]:
    """Yield a sentence for a value below the minimum; None passes."""
    if value is not None and not value >= minimum:
        yield f"{key}={value:g} must be at least {minimum:g}."


def within(key: str, value: float, low: float, high: float) -> Iterator[str]:
    """Yield a sentence for a value outside [low, high]."""
    if not low <= value <= high:
        yield f"{key}={value:g} must lie between {low:g} and {high:g}."


def between(key: str, value: float, low: float, high: float) -> Iterator[str]:
    """Yield a sentence unless the value lies strictly between low and high."""
    if not low < value < high:
        yield f"{key}={value:g} must lie between {low:g} and {high:g}, both excluded."
