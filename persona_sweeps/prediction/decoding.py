"""The base class of what `generation=` chooses: how the next token of a text is chosen, and how many there may be."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
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
    """The base of all options of `generation=`. Subclasses add their keys as fields."""

    method: str = MISSING
    max_new_tokens: int = MISSING
    repetition_penalty: float | None = None
    stop: list[str] = field(default_factory=list)
    limit: int | None = None

    samples = False
    """whether the seed can change a text"""

    def check(self, config: RunConfig) -> Iterator[str]:
        """Yield a sentence for each wrong key. Subclasses also yield from this one."""
        yield from at_least("generation.max_new_tokens", self.max_new_tokens, 1)
        yield from at_least("generation.limit", self.limit, 1)
        if self.repetition_penalty is not None and not self.repetition_penalty > 0:
            yield f"generation.repetition_penalty={self.repetition_penalty:g} must be above 0; 1 changes nothing."
        if not all(self.stop):
            yield "generation.stop holds an empty text, which would end every completion at once."

    def chooser(self) -> Chooser:
        """Return a function that chooses the next token of each sequence, independent of the other sequences."""
        raise NotImplementedError(f"{type(self).__name__}.chooser")
