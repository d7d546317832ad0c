"""Prefix tuning: virtual tokens whose keys and values are trained in each layer (Li & Liang 2021).

A prefix's tokens take token slots in the packed row, like those of a soft prompt. The model's own results in these
slots are never used: the layers' keys and values there are those of the prefix.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.cache_utils import Cache, DynamicLayer

from persona_sweeps.methods.soft_prompt import stack_virtual, virtual_slots
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.attention import Device, Layout, Options
from persona_sweeps.models.batch import PackedBatch


@dataclass(slots=True)
class PrefixWeights:
    """The keys and values of V virtual tokens in all layers: [V, layers, 2, kv heads, head_dim]."""

    states: nn.Parameter

    def __len__(self) -> int:
        return self.states.shape[0]

    def parameters(self) -> Iterator[nn.Parameter]:
        yield self.states


@dataclass(frozen=True, slots=True)
class PrefixedLayout:
    """A batch's layout with the prefixes of its trials inserted."""

    layout: Layout
    rows: Tensor
    columns: Tensor
    """[P] each, the token slots of the virtual tokens"""
    states: Tensor
    """[P, layers, 2, kv heads, head_dim], on the batch's device: a layer on another device copies its part"""
    copies: dict[torch.device, PrefixedLayout] = field(default_factory=dict, repr=False)
    """the same layout on other devices"""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, options: Options) -> Tensor:
        keys, values = self.insert(options.layer, key, value)
        return self.layout.attend(query, keys, values, options)

    def insert(self, layer: int, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor]:
        """Return a layer's keys and values [R, kv heads, L, head_dim] with those of the prefixes."""
        inserted = []
        for side, states in enumerate((key, value)):
            prefix = self.states[:, layer, side].to(states.device, states.dtype)
            inserted.append(states.transpose(1, 2).index_put((self.rows, self.columns), prefix).transpose(1, 2))
        return inserted[0], inserted[1]

    def to(self, device: Device, non_blocking: bool = False) -> PrefixedLayout:
        device = torch.device(device)
        if device == self.rows.device:
            return self
        if device not in self.copies:
            rows, columns = (tensor.to(device, non_blocking=non_blocking) for tensor in (self.rows, self.columns))
            self.copies[device] = PrefixedLayout(self.layout.to(device, non_blocking), rows, columns, self.states)
        return self.copies[device]

    def fill(self, cache: Cache) -> None:
        """Insert the prefixes into a cache that was filled with this batch."""
        for index, layer in enumerate(cache.layers):
            assert isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None
            layout = self.to(layer.keys.device)
            layer.keys, layer.values = layout.insert(index, layer.keys, layer.values)


def prefixed_layout(prefixes: Tensor, adapters: Sequence[Adapter], batch: PackedBatch) -> PrefixedLayout:
    """Return a batch's layout with the prefixes [K, longest V, layers, 2, kv heads, head_dim] of its trials."""
    prefixed = torch.tensor([adapter.prefix is not None for adapter in adapters], device=prefixes.device)
    rows, columns, index = virtual_slots(batch, prefixed)
    return PrefixedLayout(batch.layout, rows, columns, prefixes[batch.row_trials[rows], index])


def state_shape(model: PreTrainedModel) -> tuple[int, int, int, int]:
    """Return the shape of a virtual token's states in this model: (layers, 2, kv heads, head_dim)."""
    text = model.config.get_text_config()
    heads = getattr(text, "num_key_value_heads", None) or text.num_attention_heads
    head_dim = getattr(text, "head_dim", None) or text.hidden_size // text.num_attention_heads
    return text.num_hidden_layers, 2, heads, head_dim


def stack_prefixes(adapters: Sequence[Adapter]) -> Tensor | None:
    """Return the prefixes of these trials as [K, longest V, …], zero-padded; None if there are none."""
    return stack_virtual([adapter.prefix.states if adapter.prefix is not None else None for adapter in adapters])
