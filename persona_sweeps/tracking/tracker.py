"""What every tracker offers, and what several of them need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Protocol

from persona_sweeps.errors import ConfigError

SAMPLE_COLUMNS = ("id", "persona", "prompt", "reference", "prediction")


class Tracker(Protocol):
    """Where one run is told about. `status` is completed, failed or pruned."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point at optimizer step `step` to the curve of each of `values`."""

    def finish(self, status: str, summary: Mapping[str, float], samples: Sequence[Mapping[str, Any]]) -> None:
        """End the run with its final metrics and its evaluation items; call it once, last."""


def require(kind: str, package: str) -> None:
    """Raise `ConfigError` when the package that a tracker needs isn't installed; doesn't import it."""
    if find_spec(package) is None:
        raise ConfigError(f"tracker={kind} needs the package {package}: pip install 'persona-sweeps[{kind}]'")


def sample_row(sample: Mapping[str, Any]) -> list[str]:
    """Return a line of samples.jsonl as text cells in the order of `SAMPLE_COLUMNS`; what it lacks is empty."""
    return [_text(sample.get(column)) for column in SAMPLE_COLUMNS]


def _text(value: Any) -> str:
    """Return chat messages as lines of `role: content`, and anything else as it prints."""
    if isinstance(value, (list, tuple)):
        return "\n".join(_text(part) for part in value)
    if isinstance(value, Mapping) and "role" in value:
        return f"{value['role']}: {value.get('content', '')}"
    return "" if value is None else str(value)
