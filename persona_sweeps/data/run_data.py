"""A run's data as metrics see them: training data, held-out data, and the other characters of the same works."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING

from persona_sweeps.data import all_characters_of, load_corpus, source_stamp

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.data.all_characters import AllCharacters
    from persona_sweeps.data.example import Corpus
    from persona_sweeps.data.source import Source


@dataclass(frozen=True)
class RunData:
    """The data of a run, read when they are first asked for. The parts raise what `load_corpus` does."""

    source: Source
    monitored: bool = False
    """whether a part of the training data decides when training stops"""

    @classmethod
    def of(cls, config: RunConfig) -> RunData:
        """Return the data of a run."""
        return cls(config.dataset, config.train.monitored)

    @cached_property
    def key(self) -> str:
        """A text that differs whenever the data may differ."""
        return f"{source_stamp(self.source)} {self.monitored}"

    @cached_property
    def corpus(self) -> Corpus:
        """Its training and held-out examples, as its limits cut them."""
        return load_corpus(self.source, self.monitored)

    @cached_property
    def all_characters(self) -> AllCharacters:
        """The lines of all characters of the same works, whatever the limits."""
        return all_characters_of(self.source)

    @cached_property
    def personas(self) -> tuple[str, ...]:
        """The characters of the run, those of the training data first; empty where examples have none."""
        examples = chain(self.corpus.train, self.corpus.eval)  # those of a large source are read from the disk
        return tuple(dict.fromkeys(example.persona for example in examples if example.persona is not None))
