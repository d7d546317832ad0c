"""Where what can be made again is kept between runs: converted models, prepared data."""

from __future__ import annotations

import os
from pathlib import Path

CACHE_VARIABLE = "PERSONA_SWEEPS_CACHE"


def cache_dir() -> Path:
    """Return the cache folder, which need not exist yet: `$PERSONA_SWEEPS_CACHE`, else `~/.cache/persona-sweeps`."""
    chosen = os.environ.get(CACHE_VARIABLE)
    return Path(chosen).expanduser().absolute() if chosen else Path.home() / ".cache" / "persona-sweeps"
