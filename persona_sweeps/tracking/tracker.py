"""The base class of what `tracker=` chooses: a tracker shows curves and results outside the runs' folders."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from omegaconf import MISSING

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig

SAMPLE_COLUMNS = ("id", "persona", "prompt", "reference", "prediction")


class TrackedRun(Protocol):
    """One run in a tracker. `status` is completed, failed or pruned."""

    def log(self, step: int, values: Mapping[str, float]) -> None:
        """Add a point at optimizer step `step` to the curve of each of `values`."""

    def finish(self, status: str, summary: Mapping[str, float], samples: Sequence[Mapping[str, Any]]) -> None:
        """Finish the run with its final metrics and its evaluated items; call it once, last."""


@dataclass
class Tracker:
    """The base of all options of `tracker=`. Subclasses add their keys as fields."""

    kind: str = MISSING

    package = ""
    """the package that it needs; this project's extra of the same name installs it"""

    def check(self, config: RunConfig) -> Iterator[str]:
        """Yield a sentence for each wrong key, and for a missing package; import nothing heavy."""
        if self.package and find_spec(self.package) is None:
            extra = f"pip install 'persona-sweeps[{self.package}]'"
            yield f"tracker={self.kind} needs the package {self.package}: {extra}."

    def start(self, resolved: Mapping[str, Any], folder: Path, run_id: str, name: str, sweep: str) -> TrackedRun:
        """Start to track a run, without effect on other tracked runs of this process.

        `resolved` is the resolved config as plain containers, without secrets; `folder` is the run's folder.
        """
        raise NotImplementedError(f"{type(self).__name__}.start")


def sample_row(sample: Mapping[str, Any]) -> list[str]:
    """Return a line of samples.jsonl as text cells in the order of `SAMPLE_COLUMNS`; missing columns are empty."""
    return [_text(sample.get(column)) for column in SAMPLE_COLUMNS]


def _text(value: Any) -> str:
    """Return chat messages as lines of `role: content`, and anything else as `str` gives it."""
    if isinstance(value, (list, tuple)):
        return "\n".join(_text(part) for part in value)
    if isinstance(value, Mapping) and "role" in value:
        return f"{value['role']}: {value.get('content', '')}"
    return "" if value is None else str(value)
