"""Figures of tables, one module a kind; matplotlib (the extra `plots`) is imported when one is drawn."""

from __future__ import annotations

import importlib.util
import io
import warnings
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISSING = "No figures: matplotlib isn't installed; `pip install 'persona-sweeps[plots]'` has them drawn."
_STYLE: Mapping[str, Any] = {
    "svg.hashsalt": "persona-sweeps",
    "svg.fonttype": "path",
    "text.parse_math": False,  # a name with dollar signs is no formula
    "font.size": 9.0,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
}
_METADATA: Mapping[str, dict[str, str | None]] = {
    ".svg": {"Date": None, "Creator": None},
    ".png": {"Software": None},
}
"""what would make the files of equal figures differ, by suffix"""


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def files(draw: Callable[[], Figure]) -> dict[str, bytes]:
    """Return the figure that `draw` makes as the bytes of an SVG and of a PNG (200 dots an inch), by suffix.

    Equal figures give equal bytes. `draw` makes a `Figure` without pyplot, which would choose a backend and keep it.
    """
    import matplotlib

    # Whatever style a user has set elsewhere is left out of it, or equal figures would differ between machines.
    usual = {key: value for key, value in matplotlib.rcParamsDefault.items() if not key.startswith("backend")}
    style: dict[Any, Any] = {**usual, **_STYLE}
    with matplotlib.rc_context(style), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of letters that the font lacks, drawn as boxes, and of numbers near overflow
        figure = draw()
        found = {}
        for suffix, metadata in _METADATA.items():
            content = io.BytesIO()
            figure.savefig(content, format=suffix[1:], dpi=200, metadata=dict(metadata))
            found[suffix] = content.getvalue()
    return found
