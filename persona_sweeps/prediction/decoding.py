"""What `generation=` chooses: how the next token of a text is chosen, and how many there may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least

if TYPE_CHECKING:
    from torch import Tensor

    from persona_sweeps.config.schema import RunConfig

Chooser: TypeAlias = "Callable[[Tensor, Sequence[int], int], Tensor]"
"""(logits [E, vocabulary] in fp32, the random stream of each sequence, step) → chosen tokens [E]"""


@dataclass
class Generation:
    """What all options of `generation=` have in common. Subclasses add their keys as fields."""

    method: str = MISSING
    max_new_tokens: int = MISSING

    samples = False
    """whether the seed can change a text"""

    def check(self, config: RunConfig) -> Iterator[str]:
        """Yield a sentence for each thing that is wrong with its keys. Subclasses yield from this one too."""
        yield from at_least("generation.max_new_tokens", self.max_new_tokens, 1)

    def chooser(self) -> Chooser:
        """Return what chooses the next token of each sequence, whatever other sequences stand beside it."""
        raise NotImplementedError(f"{type(self).__name__}.chooser")
