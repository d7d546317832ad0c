"""A matrix as coloured squares with their values: around nothing (blue above, red below), or from worst to best."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .best_of_k import shown

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = "RdBu"
"""distinct with any colour vision"""
LEVELS = "cividis"
"""distinct with any colour vision, and in grey"""
DARK = 0.55
"""share of the largest value from which a square's text is white"""


def draw(
    title: str, rows: Sequence[str], columns: Sequence[str], values: Sequence[Sequence[float | None]], unit: str
) -> Figure:
    """Return squares of `values` (R, C); the diagonal has a frame where both sides have the same name."""
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    matrix = np.array([[np.nan if value is None else value for value in row] for row in values], dtype=float)
    most = float(np.nanmax(np.abs(matrix))) if np.isfinite(matrix).any() else 1.0
    figure = Figure(figsize=(2.4 + 0.85 * len(columns), 1.7 + 0.55 * len(rows)), layout="constrained")
    axes = figure.subplots()
    image = axes.imshow(matrix, cmap=COLOURS, vmin=-(most or 1.0), vmax=most or 1.0, aspect="auto")
    for row, name in enumerate(rows):
        for column, other in enumerate(columns):
            value = matrix[row, column]
            text = "–" if np.isnan(value) else f"{value:.2f}"
            axes.text(column, row, text, ha="center", va="center", color="white" if abs(value) > DARK * most else "0.1")
            if name == other:
                axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="0.1", linewidth=1.6))
    axes.set_xticks(range(len(columns)), [shown(name, 20) for name in columns], rotation=30, ha="right")
    axes.set_yticks(range(len(rows)), [shown(name, 20) for name in rows])
    axes.set(xlabel="lines of", ylabel="as")
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, label=unit)
    figure.suptitle(shown(title, 60), fontsize=10)
    return figure


def draw_levels(
    title: str,
    rows: Sequence[str],
    columns: Sequence[str],
    values: Sequence[Sequence[float | None]],
    higher_is_better: bool,
) -> Figure:
    """Return squares of `values` (R, C), the darker the better; one without a value is blank. The best has a frame."""
    import numpy as np
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    matrix = np.array([[np.nan if value is None else value for value in row] for row in values], dtype=float)
    low, high = float(np.nanmin(matrix)), float(np.nanmax(matrix))
    figure = Figure(figsize=(2.6 + 1.05 * len(columns), 1.4 + 0.5 * len(rows)), layout="constrained")
    axes = figure.subplots()
    colours = f"{LEVELS}_r" if higher_is_better else LEVELS
    image = axes.imshow(matrix, cmap=colours, vmin=low, vmax=high if high > low else low + 1.0, aspect="auto")
    best = np.nanargmax(matrix) if higher_is_better else np.nanargmin(matrix)
    for place, value in enumerate(matrix.flat):
        row, column = divmod(place, len(columns))
        share = (value - low) / ((high - low) or 1.0)
        is_dark = (share if higher_is_better else 1 - share) > DARK
        text = "" if np.isnan(value) else f"{value:.4g}"
        axes.text(column, row, text, ha="center", va="center", color="white" if is_dark else "0.1")
        if place == best:
            axes.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, fill=False, edgecolor="#d55e00", linewidth=2.2))
    axes.set_xticks(range(len(columns)), [shown(name, 20) for name in columns])
    axes.set_yticks(range(len(rows)), [shown(name, 20) for name in rows])
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes)
    figure.suptitle(shown(title, 60), fontsize=10)
    return figure
