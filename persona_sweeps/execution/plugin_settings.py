"""Settings of Hydra's launchers and sweepers, which come as plain mappings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from persona_sweeps.errors import ConfigError, did_you_mean


def refuse_unknown(kind: type, given: Mapping[str, Any], where: str) -> None:
    """Raise ConfigError for a key that the dataclass `kind` lacks; `where` is hydra.launcher or hydra.sweeper."""
    known = [entry.name for entry in fields(kind)]
    for name in given:
        if name not in known:
            raise ConfigError(f"{where}.{name} is not a key of this {where[6:]}.{did_you_mean(name, known)}")


def too_small(settings: Any, least: Mapping[str, int], where: str) -> Iterator[str]:
    """Yield a sentence for each whole number that is none, or below the least that it may be; null is always fine."""
    for key, minimum in least.items():
        value = getattr(settings, key)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < minimum):
            yield f"{where}.{key}={value} must be a whole number of at least {minimum}."
