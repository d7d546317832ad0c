"""A key-value cache with a fixed slot for every token: prompts on the left, padded; then one column a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer

KeysAndValues: TypeAlias = "list[tuple[Tensor, Tensor]]"
"""per layer, keys and values [E, heads, columns, head_dim]"""


class _SlotLayer(DynamicLayer):
    """Keys and values [E, heads, columns, head_dim] allocated once; an update writes the next columns in place.

    It returns the columns up to those, or all of them if a tensor holds the column: a recording can read that.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor, filled: int) -> None:
        super().__init__()
        self.keys, self.values, self.filled = keys, values, filled
        self.column: Tensor | None = None
        """[1] the column to write, where it isn't the next one"""
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        if self.column is not None:
            self.keys.index_copy_(2, self.column, key_states)
            self.values.index_copy_(2, self.column, value_states)
            return self.keys, self.values
        start, stop = self.filled, self.filled + key_states.shape[-2]
        self.keys[:, :, start:stop] = key_states
        self.values[:, :, start:stop] = value_states
        self.filled = stop
        return self.keys[:, :, :stop], self.values[:, :, :stop]

    def get_seq_length(self) -> int:
        return self.filled

    def keep(self, rows: Tensor) -> None:
        rows = rows.to(self.keys.device)
        self.keys, self.values = self.keys.index_select(0, rows), self.values.index_select(0, rows)


class SlotCache(Cache):
    """The caches of E sequences, with their prompts in the first columns and room for the new tokens after them."""

    def __init__(self, layers: list[_SlotLayer]) -> None:
        super().__init__(layers=[*layers])
        self._slot_layers = layers

    @property
    def width(self) -> int:
        """The columns that were allocated."""
        return self._slot_layers[0].keys.shape[2]

    def write_at(self, column: Tensor) -> None:
        """Have further updates write the column [1] that this tensor then holds, and return all columns."""
        for layer in self._slot_layers:
            layer.column = column

    def write_after(self, filled: int) -> None:
        """Have further updates write the columns after the first `filled`, and return the columns up to those."""
        for layer in self._slot_layers:
            layer.column, layer.filled = None, filled

    def keep(self, rows: Tensor) -> None:
        """Keep these sequences and drop all others."""
        for layer in self._slot_layers:
            layer.keep(rows)


def gather_paths(filled: DynamicCache, rows: Sequence[int], paths: Sequence[Tensor], width: int) -> KeysAndValues:
    """Gather each sequence's tokens from packed rows: per layer, keys and values [E, heads, width, head_dim].

    Sequence e has the nodes `paths[e]` of packed row `rows[e]`. It is padded on the right; padding is never visible.
    """
    index = torch.zeros(len(paths), width, dtype=torch.int64)
    for sequence, path in enumerate(paths):
        index[sequence, : len(path)] = path
    states = [_states(layer) for layer in filled.layers]
    row = torch.tensor(rows)[:, None]
    on = {device: (row.to(device), index.to(device)) for device in {keys.device for keys, _ in states}}

    def take(packed: Tensor) -> Tensor:
        return packed.transpose(1, 2)[on[packed.device]].transpose(1, 2)

    return [(take(keys), take(values)) for keys, values in states]


def _states(layer: object) -> tuple[Tensor, Tensor]:
    assert isinstance(layer, DynamicLayer) and layer.keys is not None and layer.values is not None
    return layer.keys, layer.values


def slot_cache(prompts: KeysAndValues, steps: int) -> SlotCache:
    """Return a cache with the prompts' keys and values, and `steps` empty columns after them."""
    return SlotCache(
        [_SlotLayer(_widen(keys, steps), _widen(values, steps), keys.shape[-2]) for keys, values in prompts]
    )


def _widen(states: Tensor, columns: int) -> Tensor:
    wide = states.new_zeros(*states.shape[:2], states.shape[2] + columns, states.shape[3])
    wide[:, :, : states.shape[2]] = states
    return wide
