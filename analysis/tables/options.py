"""What a table that has a choice is asked for."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TableOptions:
    """What a table that has a choice is asked for: to go by `metrics`, dotted paths into the record (`metrics.bleu`),
    to have the published board `against` beside its rows, and to draw the front of two numbers (`pareto`)."""

    metrics: tuple[str, ...] = ()
    against: str | None = None
    pareto: tuple[str, str] | None = None

    @property
    def metric(self) -> str | None:
        """The only metric, or the first."""
        return self.metrics[0] if self.metrics else None
