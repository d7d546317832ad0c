"""What a table that has a choice is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TableOptions:
    """What a table that has a choice is asked for: to go by `metric`, a dotted path into the record (`metrics.bleu`),
    to have the published board `against` beside its rows, and to draw the front of two numbers (`pareto`)."""

    metric: str | None = None
    against: str | None = None
    pareto: tuple[str, str] | None = None
