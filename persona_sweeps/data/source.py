"""What a data source is: it reads files of one format and gives examples, split in train and held out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import MISSING

from persona_sweeps.data.example import Corpus

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig


@dataclass
class Source:
    """What all options of `dataset=` have in common. Subclasses add their keys as fields."""

    source: str = MISSING
    persona: str | None = None
    limit: int | None = None
    eval_limit: int | None = None
    eval_fraction: float = MISSING
    split_seed: int = MISSING
    evaluate_on: str = MISSING
    validation_fraction: float = MISSING
    min_examples: int = MISSING
    loss_on: str = MISSING

    @property
    def label(self) -> str:
        """How a table names the data, such as `shakespeare, Hamlet`."""
        return f"{self.source}, {self.persona}" if self.persona else self.source

    def check(self, config: RunConfig) -> Iterator[str]:
        """Yield a sentence for each thing that is wrong with its keys."""
        yield from ()

    def files(self) -> list[Path]:
        """Return the files that it reads, those that exist, so that a changed file is read again."""
        return []

    def load(self) -> Corpus:
        """Read, split and cut the examples. Raises ConfigError for keys that fit nothing, DataError for bad data."""
        raise NotImplementedError
