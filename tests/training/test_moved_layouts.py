"""A layout is copied to another device whole, and once."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pytest
import torch
from accelerate.utils import send_to_device
from torch import Tensor

from persona_sweeps.data.packing import TokenSequence, pack
from persona_sweeps.methods.prefix import prefixed_layout
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.attention import CacheLayout, Layout
from persona_sweeps.models.batch import PackedBatch, collate
from persona_sweeps.models.loading import BaseModel
from persona_sweeps.training.trial import ROW_TOKEN_SLOTS, with_virtual_tokens
from tests.toolbox import PREFIX, adapter_of

META = torch.device("meta")


def tensors(value: object) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple):
        for part in value:
            yield from tensors(part)
    elif dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield from tensors(getattr(value, field.name))


@pytest.fixture
def batch(sequences: list[TokenSequence]) -> PackedBatch:
    prefixed = [with_virtual_tokens(sequence, 4) for sequence in sequences]
    return collate([(trial, row) for trial in (0, 1) for row in pack(prefixed, ROW_TOKEN_SLOTS)], "cpu")


def assert_moves_once(layout: Layout) -> Layout:
    assert layout.to("cpu") is layout and layout.to(torch.device("cpu")) is layout
    moved = send_to_device({"layout": layout}, META)["layout"]  # as accelerate's hooks do
    assert moved is layout.to("meta", non_blocking=True) is layout.to(META) and moved.to(META) is moved
    assert all(tensor.device == torch.device("cpu") for tensor in tensors(layout))
    assert [tensor.shape for tensor in tensors(moved)] == [tensor.shape for tensor in tensors(layout)]
    return moved


def test_that_of_a_packed_batch(batch: PackedBatch) -> None:
    moved = assert_moves_once(batch.layout)
    assert len(list(tensors(moved))) == 1 + 3 * len(batch.layout.buckets)
    assert all(tensor.device == META for tensor in tensors(moved))
    assert all(bucket.mask(None, torch.float32).device == META for bucket in moved.buckets)  # type: ignore[attr-defined]


def test_that_of_new_tokens_before_a_cache() -> None:
    layout = CacheLayout(torch.ones(2, 1, 5, dtype=torch.bool), torch.zeros(2, 1), torch.zeros(2, 5))
    assert [tensor.device for tensor in tensors(assert_moves_once(layout))] == [META] * 3


def test_that_with_prefixes_whose_states_stay_until_a_layer_takes_its_own(llama: BaseModel, batch: PackedBatch) -> None:
    adapters = [adapter_of(llama, PREFIX), Adapter()]
    assert adapters[0].prefix is not None
    layout = prefixed_layout(torch.stack([adapters[0].prefix.states] * 2), adapters, batch)
    moved = assert_moves_once(layout)
    assert moved.states is layout.states  # type: ignore[attr-defined]
    assert all(tensor.device == META for tensor in tensors(moved) if tensor is not layout.states)
    heads, head_dim = layout.states.shape[-2:]
    states = torch.zeros(len(batch.tokens), heads, batch.tokens.shape[1], head_dim, device=META)
    assert [placed.device for placed in moved.insert(0, states, states)] == [META] * 2  # type: ignore[attr-defined]
