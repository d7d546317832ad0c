"""Sweeps that teach language models to speak as a character.

In Python: `sweep` runs one, `load_runs` reads what was measured, `load_predictor` loads what was trained.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from persona_sweeps.api.predictors import load_predictor
    from persona_sweeps.api.sweeps import load_runs, sweep

__all__ = ["load_predictor", "load_runs", "sweep"]
__version__ = "0.1.0"

_PLACES = {"sweep": "sweeps", "load_runs": "sweeps", "load_predictor": "predictors"}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first asked for: every command imports this package."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.api.{_PLACES[name]}"), name)
