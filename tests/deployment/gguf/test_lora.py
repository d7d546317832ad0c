"""A LoRA as a GGUF file: its factors make what the adapter adds, and only plain pairs can be one."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from persona_sweeps.deployment.gguf.lora import factors, require_low_rank, row_order
from persona_sweeps.errors import UserError
from persona_sweeps.methods.lora_layers import LoraPair, LoraWeights
from persona_sweeps.methods.weights import Adapter


def pair(rank: int, started: bool = False, magnitude: bool = False) -> LoraPair:
    torch.manual_seed(rank)
    a, b = torch.randn(rank, 6), torch.randn(rank, 8)
    start = (torch.randn(rank, 6), torch.randn(rank, 8)) if started else None
    return LoraPair(nn.Parameter(a), nn.Parameter(b), 2.0, start, nn.Parameter(torch.ones(8)) if magnitude else None)


@pytest.mark.parametrize("started", [False, True])
def test_the_factors_make_what_the_pair_adds(started: bool) -> None:
    one = pair(3, started)
    a, b = factors(one)
    added = one.b.T @ one.a
    if one.start is not None:
        added = added - one.start[1].T @ one.start[0]
    assert len(a) == (6 if started else 3)
    np.testing.assert_allclose(b @ a, added.detach().numpy(), rtol=1e-5, atol=1e-6)


@given(st.sampled_from([(4, 2), (4, 4), (2, 1), (6, 3)]), st.booleans())
def test_the_order_of_rows_is_found_in_the_file_itself(heads: tuple[int, int], of_keys: bool) -> None:
    queries, keys = heads
    count = keys if of_keys else queries
    weight = np.random.default_rng(0).normal(size=(count * 8, 5)).astype(np.float32)
    halves = weight.reshape(count, 2, 4, 5).swapaxes(1, 2).reshape(weight.shape)
    config = SimpleNamespace(num_attention_heads=queries, num_key_value_heads=keys)
    for stored, expected in ((weight, weight), (halves, halves)):
        order = row_order(weight, SimpleNamespace(data=stored.astype(np.float16)), config)  # type: ignore[arg-type]
        assert order is not None
        np.testing.assert_array_equal(order(weight), expected)
    other = SimpleNamespace(data=weight[::-1].astype(np.float16))
    assert row_order(weight, other, config) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "adapter",
    [
        Adapter(),
        Adapter(lora=LoraWeights({"q": pair(2, magnitude=True)}, 4.0)),
        Adapter(lora=LoraWeights({"q": pair(2)}, 4.0), prompt=[0] * 4),  # type: ignore[arg-type]
    ],
    ids=["nothing", "DoRA", "virtual tokens"],
)
def test_what_is_more_than_a_lora_is_refused(adapter: Adapter) -> None:
    with pytest.raises(UserError, match="mine is no plain LoRA"):
        require_low_rank(adapter, "mine")
