"""Where the package `analysis` is: beside this one in a checkout, and inside of it in a wheel."""

from __future__ import annotations

import importlib
from importlib.util import find_spec
from types import ModuleType


def analysis_module(name: str) -> ModuleType:
    """Import a module of the package `analysis`, such as `read.selection`.

    A wheel carries the package inside of this one, so that it takes no name in site-packages.
    """
    package = "persona_sweeps.analysis" if find_spec("persona_sweeps.analysis") is not None else "analysis"
    return importlib.import_module(f"{package}.{name}")
