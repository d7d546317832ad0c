"""A run's data as metrics see them: training data, held-out data, and the other characters of the same works."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from persona_sweeps.data import all_characters_of, corpus_of

if TYPE_CHECKING:
    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.data.all_characters import AllCharacters
    from persona_sweeps.data.example import Corpus


@dataclass(frozen=True)
class RunData:
    """The data of a run, read when they are first asked for. Both raise what `load_corpus` does."""

    config: RunConfig

    @cached_property
    def corpus(self) -> Corpus:
        """Its training and held-out examples, as its limits cut them."""
        return corpus_of(self.config)

    @cached_property
    def all_characters(self) -> AllCharacters:
        """The lines of all characters of the same works, whatever the limits."""
        return all_characters_of(self.config)

    @cached_property
    def personas(self) -> tuple[str, ...]:
        """The characters of the run, those of the training data first; empty where examples have none."""
        examples = [*self.corpus.train, *self.corpus.eval]
        return tuple(dict.fromkeys(example.persona for example in examples if example.persona is not None))
