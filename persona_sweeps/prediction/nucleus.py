"""Nucleus sampling (Holtzman et al. 2020): from the fewest tokens that hold `top_p` of the probability."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from omegaconf import MISSING

from persona_sweeps.config.checks import at_least
from persona_sweeps.prediction.decoding import Chooser, Generation
from persona_sweeps.seeds import derive_seed

if TYPE_CHECKING:
    from torch import Tensor

    from persona_sweeps.config.schema import RunConfig


@dataclass
class Nucleus(Generation):
    """Sample a token by its probability at a temperature, among the `top_k` most probable, then the nucleus of these.

    The uniform number for a token is hashed from its sequence's stream and its step, so that a text doesn't depend on
    the others in the batch.
    """

    temperature: float = MISSING
    top_p: float = MISSING
    top_k: int | None = None

    samples = True

    def check(self, config: RunConfig) -> Iterator[str]:
        yield from super().check(config)
        if not self.temperature > 0:
            yield f"generation.temperature={self.temperature:g} must be above 0; generation=greedy is its limit."
        if not 0 < self.top_p <= 1:
            yield f"generation.top_p={self.top_p:g} must be above 0 and at most 1."
        yield from at_least("generation.top_k", self.top_k, 1)

    def chooser(self) -> Chooser:
        return self._choose

    def _choose(self, logits: Tensor, streams: Sequence[int], step: int) -> Tensor:
        import torch

        logits, order = torch.sort(logits / self.temperature, dim=-1, descending=True, stable=True)
        probabilities = logits[:, : self.top_k].softmax(-1)
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(before >= self.top_p, 0.0)
        cumulative = probabilities.double().cumsum(-1)
        uniform = torch.tensor(
            [derive_seed(stream, step) / float(1 << 63) for stream in streams],
            dtype=torch.float64,
            device=logits.device,
        )
        target = uniform[:, None] * cumulative[:, -1:]
        index = torch.searchsorted(cumulative, target, right=True).clamp(max=probabilities.shape[-1] - 1)
        return order.gather(-1, index)[:, 0]
