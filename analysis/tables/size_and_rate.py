"""Pictures of a metric by learning rate and size (LoRA's rank, a prompt's tokens), where a sweep varied both."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..read.labels import base_label
from ..read.measures import Measure
from ..read.settings import Setting
from .numbers import rate
from .table import Figure

SIZES = {"config.peft.r": "rank", "config.peft.num_virtual_tokens": "virtual tokens"}
"""path of a size → what it is called"""
LEAST = 2
"""sizes, and rates, of a picture"""


@dataclass(frozen=True)
class _Grid:
    """The settings of one model and method that differ in size and rate."""

    label: str
    called: str
    settings: Sequence[Setting]
    path: str

    @property
    def sizes(self) -> list[float]:
        return sorted({size for s in self.settings if (size := s.first.number(self.path)) is not None})

    @property
    def rates(self) -> list[float]:
        return sorted({found for s in self.settings if (found := s.learning_rate) is not None})

    def values(self, measure: Measure) -> list[list[float | None]]:
        """Return the mean of each rate (R) and size (C); of several settings there the best counts."""
        return [[self._best(measure, rate, size) for size in self.sizes] for rate in self.rates]

    def _best(self, measure: Measure, rate: float, size: float) -> float | None:
        here = [s for s in self.settings if s.learning_rate == rate and s.first.number(self.path) == size]
        means = [found.mean for s in here if (found := s.spread(measure.name)) is not None]
        return (max(means) if measure.higher_is_better else min(means)) if means else None


def pictures(settings: Sequence[Setting], measure: Measure) -> list[Figure]:
    """Return a picture for each model and method with two sizes and two rates at least, none without matplotlib."""
    from .. import figures

    grids = [grid for grid in _grids(settings) if len(grid.sizes) >= LEAST and len(grid.rates) >= LEAST]
    if measure.higher_is_better is None or not grids or not figures.can_draw():
        return []
    return [_picture(grid, measure) for grid in grids]


def _grids(settings: Sequence[Setting]) -> list[_Grid]:
    found: dict[tuple[str, str, str], list[Setting]] = {}
    for setting in settings:
        path = next((path for path in SIZES if setting.first.number(path) is not None), None)
        if path is not None and setting.trains:
            found.setdefault((base_label(setting.first), setting.method, path), []).append(setting)
    return [_Grid(f"{method} · {model}", SIZES[path], of, path) for (model, method, path), of in found.items()]


def _picture(grid: _Grid, measure: Measure) -> Figure:
    def render() -> dict[str, bytes]:
        from .. import figures
        from ..figures import heatmap

        rows = [f"rate {rate(value)}" for value in grid.rates]
        columns = [f"{grid.called} {size:g}" for size in grid.sizes]
        title = f"{grid.label}: {measure.label}"
        higher = bool(measure.higher_is_better)
        return figures.files(lambda: heatmap.draw_levels(title, rows, columns, grid.values(measure), higher))

    key = min(setting.first.setting_key for setting in grid.settings)[:10]
    name = f"rate-and-size-{re.sub(r'[^a-z0-9]+', '-', measure.label.lower()).strip('-')}-{key}"
    return Figure(name, f"{measure.label} of {grid.label} by learning rate and {grid.called}, dark is better", render)
