"""Refuse likelihoods that aren't finite numbers, as a diverged run gives them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from persona_sweeps.errors import Diverged
from persona_sweeps.metrics.metric import Line


def require_finite(lines: Iterable[Line], of: str) -> None:
    """Raise Diverged if the NLL of a line isn't a finite number; `of` says what the lines are."""
    if not all(line["nll"] is not None and math.isfinite(line["nll"]) for line in lines):
        raise Diverged(f"the likelihood of {of} was not a finite number; lower train.learning_rate")
