"""How the next token is chosen: one function a `generation.method`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from persona_sweeps.config.schema import GenerationConfig, NucleusConfig
from persona_sweeps.seeds import derive_seed

Chooser = Callable[[Tensor, Sequence[int], int], Tensor]
"""(logits [E, vocabulary] in fp32, the random stream of each sequence, step) → chosen tokens [E]"""


def _greedy(config: GenerationConfig) -> Chooser:
    return lambda logits, streams, step: logits.argmax(-1)


def _nucleus(config: GenerationConfig) -> Chooser:
    """Nucleus sampling (Holtzman et al. 2020): from the fewest tokens that hold `top_p` of the probability.

    The one uniform number a token takes is hashed from its sequence's stream and its step, so that a text does not
    depend on which others are generated beside it.
    """
    assert isinstance(config, NucleusConfig)

    def choose(logits: Tensor, streams: Sequence[int], step: int) -> Tensor:
        probabilities = (logits / config.temperature).softmax(-1)
        probabilities, order = torch.sort(probabilities, dim=-1, descending=True, stable=True)
        before = probabilities.cumsum(-1) - probabilities
        probabilities = probabilities.masked_fill(before >= config.top_p, 0.0)
        cumulative = probabilities.double().cumsum(-1)
        uniform = torch.tensor(
            [derive_seed(stream, step) / float(1 << 63) for stream in streams],
            dtype=torch.float64,
            device=logits.device,
        )
        target = uniform[:, None] * cumulative[:, -1:]
        place = torch.searchsorted(cumulative, target, right=True).clamp(max=logits.shape[-1] - 1)
        return order.gather(-1, place)[:, 0]

    return choose


METHODS: dict[str, Callable[[GenerationConfig], Chooser]] = {"greedy": _greedy, "nucleus": _nucleus}


def chooser(config: GenerationConfig) -> Chooser:
    return METHODS[config.method](config)
