"""Tiny twins and data for the engine's tests."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
import torch

from persona_sweeps.config import ModelConfig
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.models.loading import BaseModel, load_base
from tests.engine.toolbox import CARDS, TINY_VOCABULARY


@pytest.fixture(params=CARDS)
def base(request: pytest.FixtureRequest, compose_card: Callable[..., ModelConfig]) -> BaseModel:
    """The tiny twin of each family in turn, in fp32."""
    return load_base(compose_card(request.param, "scale=tiny"), torch.float32, "cpu")


@pytest.fixture
def llama(compose_card: Callable[..., ModelConfig]) -> BaseModel:
    return load_base(compose_card("smollm2_135m_instruct", "scale=tiny"), torch.float32, "cpu")


@pytest.fixture
def sequences() -> list[TokenSequence]:
    """Ten examples behind one 40-token card, longer than the twins' sliding windows; some share more."""
    rng = random.Random(0)

    def tokens(count: int) -> list[int]:
        return [rng.randrange(7, TINY_VOCABULARY) for _ in range(count)]

    card = tokens(40)
    scenes = [card + tokens(12) for _ in range(3)]
    found = []
    for index in range(10):
        prompt = scenes[index % 3] + tokens(rng.randrange(1, 6))
        found.append(TokenSequence((*prompt, *tokens(rng.randrange(3, 20))), len(prompt), index))
    return found
