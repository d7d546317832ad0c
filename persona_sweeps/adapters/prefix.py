"""Prefix tuning: virtual tokens whose keys and values are trained in each layer (Li & Liang 2021).

A prefix's tokens stand in the packed row like those of a soft prompt. What the model computes at their places is
never looked at: the layers' keys and values there are those of the prefix.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from persona_sweeps.adapters.prompt import stack_virtual, virtual_places
from persona_sweeps.adapters.weights import Adapter
from persona_sweeps.training.attention import Layout, Options
from persona_sweeps.training.batch import PackedBatch


class PrefixedLayout:
    """A batch's layout with the prefixes of its trials in place."""

    def __init__(self, prefixes: Tensor, adapters: Sequence[Adapter], batch: PackedBatch) -> None:
        """`prefixes` are [K, longest V, layers, 2, kv heads, head_dim]."""
        prefixed = torch.tensor([adapter.prefix is not None for adapter in adapters], device=prefixes.device)
        rows, columns, index = virtual_places(batch, prefixed)
        self._layout: Layout = batch.layout
        self._places = rows, columns
        self._states = prefixes[batch.slots[rows], index]

    def attend(self, query: Tensor, key: Tensor, value: Tensor, options: Options) -> Tensor:
        keys, values = self.place(options.layer, key, value)
        return self._layout.attend(query, keys, values, options)

    def place(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return a layer's keys and values [R, kv heads, L, head_dim] with those of the prefixes at their places."""
        placed = []
        for side, states in enumerate((key, value)):
            own = self._states[:, layer, side].to(states.dtype)
            placed.append(states.transpose(1, 2).index_put(self._places, own).transpose(1, 2))
        return placed[0], placed[1]

    def fill(self, cache: Cache) -> None:
        """Put the prefixes into a cache that was filled with this batch."""
        for index, layer in enumerate(cache.layers):
            assert isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None
            layer.keys, layer.values = self.place(index, layer.keys, layer.values)


def stack_prefixes(adapters: Sequence[Adapter]) -> Tensor | None:
    """Return the prefixes of these trials as [K, longest V, …], zero-padded; None when there is none."""
    return stack_virtual([adapter.prefix.states if adapter.prefix is not None else None for adapter in adapters])
