"""Claims in words and single figures: what each would be if it followed from the numbers that it rests on."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from persona_sweeps.errors import DataError, did_you_mean

from ...tables.table import Column, Section
from ..boards import Board
from ..rounding import Printed, Range, Verdict, judge, plain, read
from .outcome import CheckOutcome, raw

_KINDS = ("share", "change", "times")
"""of a claim: how much of, how much more than, and how many times another number one is"""


def check(board: Board, spec: Mapping[str, Any]) -> CheckOutcome:
    """Compare each claim with what it would be by any of the numbers under `by`; it follows where one of them gives it.

    `of` is divided by each; `as` says whether that is a share in percent, a change in percent or a factor.
    """
    table = board.table(spec["table"])
    rows, raws, flags = [], [], []
    for claim in spec["claims"]:
        if claim["as"] not in _KINDS:
            raise DataError(f"no kind of claim {claim['as']!r}.{did_you_mean(claim['as'], _KINDS)}")
        printed, found = read(claim["printed"]), {}
        for name, text in claim["by"].items():
            nominal, range_ = _recomputed(read(claim["of"]), read(text), claim["as"])
            found[name] = nominal, range_, judge(printed, nominal, range_, plain)
        follows = next((name for name, (_, _, verdict) in found.items() if not verdict.flagged), None)
        verdict = "follows" if follows and len(found) == 1 else f"follows from the {follows}" if follows else "flag"
        sentence = "; ".join(f"{name}: {plain(value, 1)}" for name, (value, _, _) in found.items())
        unit = "×" if claim["as"] == "times" else " %"
        rows.append([claim["what"], f"{claim['printed']}{unit}", sentence, verdict])
        nominal, range_, _ = found[follows or next(iter(found))]
        raws.append(
            raw("claims", table, claim["what"], claim["as"], "", printed, nominal, range_, Verdict(verdict, False))
        )
        if not follows:
            flags.append((table.key, f"{claim['what']}: printed {claim['printed']}{unit}, recomputed {sentence}."))
    notes = [claim["note"] for claim in spec["claims"] if "note" in claim]
    return CheckOutcome(Section(f"Recomputed: {spec['title']}", rows, notes, _COLUMNS), raws, flags)


_COLUMNS = (
    Column("claim", right=False),
    Column("printed"),
    Column("recomputed", right=False),
    Column("verdict", right=False),
)


def _recomputed(of: Printed, by: Printed, kind: str) -> tuple[Fraction, Range]:
    """Return what a claim would be, from the numbers as printed and from all that their rounding hides."""
    scale, less = (1, 0) if kind == "times" else (100, 100 if kind == "change" else 0)
    ends = [scale * one / other - less for one in _ends(of) for other in _ends(by)]
    return scale * of.value / by.value - less, Range(min(ends), max(ends))


def _ends(number: Printed) -> tuple[Fraction, Fraction]:
    """Return the ends of what a number stands for; a count, without decimals, is what it is."""
    return (number.range.low, number.range.high) if number.decimals else (number.value, number.value)
