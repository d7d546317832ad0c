"""The base class of what `tracker=` chooses: a tracker shows the records of runs somewhere else.

Training writes records, and nothing of a tracker. A tracker reads them: in a process of its own beside the sweep
(`follower`), or later (`persona-sweeps push`). So a tracker can neither stop nor slow a run, and both ways show the
same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.tracking.entries import RunEntry, TableEntry

SAMPLE_COLUMNS = ("id", "persona", "prompt", "reference", "prediction")


class Unreachable(Exception):
    """A tracker's server can't be reached: it isn't asked for another run."""


class ShownRun(Protocol):
    """A run that is open in a tracker."""

    id: str
    """its id there"""
    points: int
    """how many points of its curves are there already"""

    def log(self, index: int, point: Mapping[str, float]) -> None:
        """Add a point of the curves, the `index`-th of the history; `point` has its `step`."""

    def finish(self, entry: RunEntry) -> None:
        """Show all else that there is of the run, and close it; call it once, last."""


class Session(Protocol):
    """A tracker at work for one sweep. Any call may raise; what it raises is reported, and costs no run."""

    live: bool
    """whether runs are shown while they train; else each is written as it ends"""

    def open(self, entry: RunEntry) -> ShownRun:
        """Begin to show a run, or go on with one of which a part is there."""

    def show_tables(self, tables: Sequence[TableEntry]) -> None:
        """Show a sweep's tables, in place of those that are there."""

    def close(self) -> Sequence[str]:
        """Finish, and return sentences on where everything is to be seen."""


@dataclass
class Tracker:
    """The base of all options of `tracker=`. Subclasses add their keys as fields."""

    name: ClassVar[str] = ""
    package: ClassVar[str] = ""
    """the package that it needs; this project's extra of the tracker's name installs it"""

    def check(self, config: RunConfig) -> Iterator[str]:
        """Yield a sentence for each wrong key, and for a missing package; import nothing heavy."""
        if self.package and find_spec(self.package) is None:
            extra = f"pip install 'persona-sweeps[{self.name}]'"
            yield f"tracker={self.name} needs the package {self.package}: {extra}."

    def target(self, output_dir: Path) -> str:
        """Return what says where runs go: what was shown at one target isn't shown at another."""
        raise NotImplementedError(f"{type(self).__name__}.target")

    def session(self, output_dir: Path, sweep: str) -> Session:
        """Begin to show the runs of a sweep. Raises whatever keeps the tracker from working at all."""
        raise NotImplementedError(f"{type(self).__name__}.session")


def sample_row(sample: Mapping[str, Any]) -> list[str]:
    """Return a line of samples.jsonl as text cells in the order of `SAMPLE_COLUMNS`; missing columns are empty."""
    return [_text(sample.get(column)) for column in SAMPLE_COLUMNS]


def flat(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield nested settings by dotted name (`peft.r`)."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(value: Any) -> str:
    """Return chat messages as lines of `role: content`, and anything else as `str` gives it."""
    if isinstance(value, (list, tuple)):
        return "\n".join(_text(part) for part in value)
    if isinstance(value, Mapping) and "role" in value:
        return f"{value['role']}: {value.get('content', '')}"
    return "" if value is None else str(value)
