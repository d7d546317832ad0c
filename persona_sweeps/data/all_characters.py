"""The lines of all characters of the same works, divided as the run's own examples are."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from persona_sweeps.data.example import Example, examples_sha256

if TYPE_CHECKING:
    from persona_sweeps.data.source import Source


@dataclass(frozen=True)
class AllCharacters:
    """Every character's lines, the run's own among them: from the scenes to train on, and from those held out.

    No limit applies. Where the run is evaluated on its validation part, that part is `held_out`, and the test part is
    in neither. A line's id is that of the same line in the run's own data.
    """

    train: Sequence[Example]
    held_out: Sequence[Example]

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 (hex) of both parts' content, in order."""
        return hashlib.sha256((examples_sha256(self.train) + examples_sha256(self.held_out)).encode()).hexdigest()

    @classmethod
    def of(cls, source: Source) -> AllCharacters:
        """Read the works of a source's characters. Raises what `Source.load` does."""
        whole = replace(source, limit=None, eval_limit=None, eval_per_cluster=None).load()
        training = {example.cluster for example in whole.train}
        evaluated = {example.cluster for example in whole.eval}
        examples = [example for example in source.everyone() if example.completion.strip()]
        held_out = [e for e in examples if e.cluster not in training and e.cluster in evaluated]
        return cls([e for e in examples if e.cluster in training], held_out)
