"""The base class of what `dataset=` chooses: a data source reads files of one format and splits their examples."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least, between, one_of
from persona_sweeps.data.example import Corpus

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig


@dataclass
class Source:
    """The base of all options of `dataset=`. Subclasses add their keys as fields.

    conf/dataset/jsonl.yaml explains the keys of this class; a source of another package has their defaults.
    """

    source: str = MISSING
    persona: str | None = None
    limit: int | None = None
    eval_limit: int | None = None
    eval_fraction: float = 0.2
    split_seed: int = 0
    evaluate_on: str = "test"
    validation_fraction: float = 0.2
    min_examples: int = 8
    loss_on: str = "completion"

    @property
    def label(self) -> str:
        """Its name in tables, such as `shakespeare, Hamlet`."""
        return f"{self.source}, {self.persona}" if self.persona else self.source

    def check(self, config: RunConfig) -> Iterator[str]:
        """Yield a sentence for each wrong key. Subclasses also yield from this one."""
        yield from one_of("dataset.loss_on", self.loss_on, ("completion", "all_tokens"))
        yield from one_of("dataset.evaluate_on", self.evaluate_on, ("test", "validation"))
        yield from at_least("dataset.limit", self.limit, 1)
        yield from at_least("dataset.eval_limit", self.eval_limit, 1)
        yield from between("dataset.eval_fraction", self.eval_fraction, 0, 1)
        yield from between("dataset.validation_fraction", self.validation_fraction, 0, 1)

    def files(self) -> list[Path]:
        """Return the existing files that it reads, so that a changed file is read again."""
        return []

    def load(self) -> Corpus:
        """Return the examples, split and cut. Raises ConfigError for keys without a match, DataError for bad data."""
        raise NotImplementedError
