"""Where the files of a run lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names the files of one run."""

    path: Path

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @property
    def hydra(self) -> Path:
        return self.path / ".hydra"

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def samples(self) -> Path:
        return self.path / "samples.jsonl"

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    @property
    def checkpoint(self) -> Path:
        """What a run that is interrupted goes on from; gone once it has ended."""
        return self.path / "checkpoint"

    @property
    def lease(self) -> Path:
        """Says which process is training the run."""
        return self.path / "lease"

    @property
    def model(self) -> Path:
        """The whole model, where all of it was trained."""
        return self.path / "model"

    @property
    def log(self) -> Path:
        return self.path / "run.log"
