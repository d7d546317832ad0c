"""Sweeps that teach language models to speak as a character.

In Python: `sweep` runs one, `load_runs` reads what was measured, `load_predictor` loads what was trained.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from persona_sweeps.api.sweeps import load_runs, sweep
    from persona_sweeps.deployment.predictor import load_predictor

__all__ = ["load_predictor", "load_runs", "sweep"]
__version__ = "0.1.0"

_PLACES = {"sweep": "api.sweeps", "load_runs": "api.sweeps", "load_predictor": "deployment.predictor"}


def __getattr__(name: str) -> Any:
    """Import a public function when it is first asked for: every command imports this package."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
