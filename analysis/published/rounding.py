"""Numbers as they were printed, what their rounding hides, and whether one follows from others.

All arithmetic is in fractions, so that a tie is a tie.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

from persona_sweeps.errors import DataError

_NUMBER = re.compile(r"~?([+-]?[0-9]+(?:\.([0-9]+))?)")


@dataclass(frozen=True)
class Range:
    """All values from `low` to `high`, both included."""

    low: Fraction
    high: Fraction


@dataclass(frozen=True)
class Printed:
    """A printed number with its decimals; it stands for every value that rounds to it."""

    text: str
    value: Fraction
    decimals: int

    @property
    def half(self) -> Fraction:
        """Half a unit of the last digit."""
        return Fraction(1, 2 * 10**self.decimals)

    @property
    def range(self) -> Range:
        """The values that print as this one; a value halfway between two may print as either."""
        return Range(self.value - self.half, self.value + self.half)


def read(text: str) -> Printed:
    """Return a printed number such as `0.130`, `+10` or `~3.17`; raises `DataError` for anything else."""
    match = _NUMBER.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise DataError(f"{text!r} is no printed number: write it as it was printed, in quotes, such as '0.130'.")
    return Printed(text, Fraction(match[1]), len(match[2] or ""))


def round_to(value: Fraction, decimals: int) -> Fraction:
    """Return `value` rounded to so many decimals, a tie away from zero."""
    scale = 10**decimals
    return Fraction(math.floor(abs(value) * scale + Fraction(1, 2)) * (1 if value >= 0 else -1), scale)


def cut_to(value: Fraction, decimals: int) -> Fraction:
    """Return `value` with the digits after so many decimals cut off."""
    scale = 10**decimals
    return Fraction(math.trunc(value * scale), scale)


@dataclass(frozen=True)
class Verdict:
    """How a printed number stands to the one recomputed; `flagged` unless it follows, or there was nothing printed."""

    words: str
    flagged: bool


NOT_PRINTED = Verdict("not printed", False)
FOLLOWS = Verdict("follows", False)


def judge(printed: Printed | None, nominal: Fraction, range_: Range, form: Callable[[Fraction, int], str]) -> Verdict:
    """Say whether a printed number follows from others that were themselves printed rounded.

    `nominal` is recomputed from the inputs as printed, `range_` from all that the rounding of the inputs hides; `form`
    writes a value with so many decimals. It follows when the nominal value rounds to it. When only a value elsewhere in
    the range does, it's flagged with a reason: the authors' unrounded numbers may have given it, those they printed
    don't.
    """
    if printed is None:
        return NOT_PRINTED
    own, decimals = printed.range, printed.decimals
    if own.low <= nominal <= own.high:
        return FOLLOWS
    prints_as = form(round_to(nominal, decimals), decimals)
    if own.low <= range_.high and range_.low <= own.high:
        return Verdict(f"flag: prints as {prints_as}; {form(printed.value, decimals)} only by digits not printed", True)
    possible = {round_to(end, decimals) for end in (range_.low, range_.high)}
    can = prints_as if len(possible) == 1 else " to ".join(form(end, decimals) for end in sorted(possible))
    return Verdict(f"flag: doesn't follow; can print as {can}", True)


def plain(value: Fraction, decimals: int) -> str:
    return f"{float(round_to(value, decimals)):.{decimals}f}"


def percent(value: Fraction, decimals: int) -> str:
    return f"{float(round_to(value, decimals)):+.{decimals}f} %"


def span(range_: Range, decimals: int, form: Callable[[Fraction, int], str] = plain) -> str:
    return f"{form(range_.low, decimals)} to {form(range_.high, decimals)}"
