"""The name of a sweep that was given none: what it varies, and a digest of its overrides.

The same command is the same sweep again, and comes back to it; another command is another sweep.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException

SINGLE_RUNS = "single_runs"
LONGEST = 48
_WITHOUT_EFFECT = ("plan", "status", "show_examples", "output_dir", "device", "group_size", "checkpoint_seconds")
"""keys that change neither the cells of a sweep nor their results"""


def sweep_name(arguments: Sequence[str]) -> str:
    """Return a name such as `peft-seed-4f1c2a` for the arguments of a command; `single_runs` without -m."""
    return _name(tuple(arguments))


@lru_cache(maxsize=8)
def _name(arguments: tuple[str, ...]) -> str:
    if "-m" not in arguments and "--multirun" not in arguments:
        return SINGLE_RUNS
    overrides = sorted((key, text, swept) for key, text, swept in _overrides(arguments) if _has_effect(key))
    varied = [text.split("=", 1)[1] if key == "experiment" else key for key, text, swept in overrides if swept]
    parts = [re.sub(r"\W+", "_", part.rpartition(".")[2]).strip("_") for part in varied]
    digest = hashlib.sha256("\n".join(text for _, text, _ in overrides).encode()).hexdigest()[:6]
    return f"{'-'.join(filter(None, parts))[:LONGEST].strip('-') or 'sweep'}-{digest}"


def _overrides(arguments: Sequence[str]) -> Iterator[tuple[str, str, bool]]:
    """Yield the key and text of each override, and whether it says what the sweep is about."""
    parser = OverridesParser.create()
    for word in arguments:
        if word.startswith("-") or not (word.startswith("~") or "=" in word):
            continue
        try:
            parsed: Override = parser.parse_override(word)
        except HydraException:  # Hydra will say so
            continue
        key = parsed.key_or_group
        yield key, word, parsed.is_sweep_override() or key == "experiment"


def _has_effect(key: str) -> bool:
    return key not in _WITHOUT_EFFECT and key.partition(".")[0].partition("/")[0] not in ("hydra", "tracker")
