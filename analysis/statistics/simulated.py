"""What simulations say of tables that rest on too little: figures for warnings.

They are those of docs/certainty.md (`python -m benchmarks.certainty`; a tested equality).
"""

from __future__ import annotations

from collections.abc import Mapping

ONE_SEED: Mapping[int, float] = {2: 0.317, 6: 0.659, 12: 0.827, 24: 0.94}
"""by the number of equal rows: the share of tables that say some differ, of one seed a row (sd 0.1 nats), 20 scenes"""
BEST_OF: Mapping[int, float] = {4: 0.086, 16: 0.208, 64: 0.322}
"""by the number of settings as good as the untuned base: how often the best has p ≤ 0.05 (3 seeds, sd 0.05 nats)"""


def nearest(figures: Mapping[int, float], count: int) -> tuple[int, float]:
    """Return the largest simulated number up to `count`, else the smallest, with its rate."""
    simulated = max((number for number in figures if number <= count), default=min(figures))
    return simulated, figures[simulated]
