"""What is recomputed of a published board: one module a kind of check.

To add one, write a module with `check(board, spec) -> CheckOutcome`, where `spec` is the entry under `checks` in the
board's file; name it in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from persona_sweeps.errors import DataError, did_you_mean

from ..boards import Board
from . import agreement, best, claims, likelihood, order, relative, units
from .outcome import CheckOutcome

CHECKS: dict[str, Callable[[Board, Mapping[str, Any]], CheckOutcome]] = {
    "agreement": agreement.check,
    "best": best.check,
    "claims": claims.check,
    "likelihood": likelihood.check,
    "order": order.check,
    "relative": relative.check,
    "units": units.check,
}
"""each check by its `kind`"""


def run(board: Board) -> list[CheckOutcome]:
    """Run all checks of a board; raises `DataError` for one that its file has wrong."""
    outcomes = []
    for spec in board.checks:
        kind = str(spec.get("kind"))
        if kind not in CHECKS:
            raise DataError(f"Published board {board.name!r}: no check {kind!r}.{did_you_mean(kind, CHECKS)}")
        outcomes.append(CHECKS[kind](board, spec))
    return outcomes
