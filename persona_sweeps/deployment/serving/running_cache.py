"""A key-value cache of sequences that grow side by side, which others join and leave at any token."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer

from persona_sweeps.prediction.kv_cache import KeysAndValues

STEP = 128
"""columns that are allocated at a time"""


class _RowLayer(DynamicLayer):
    """Keys and values [E, heads, columns, head_dim] of one layer, each sequence's from column 0 on."""

    keys: Tensor
    values: Tensor

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()
        self.keys, self.values = keys, values
        self.dtype, self.device = keys.dtype, keys.device
        self.is_initialized = True
        self.columns = torch.empty(0, dtype=torch.int64)
        self.shown = 0

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        """Write one token of each sequence into its own column; return the columns that any has."""
        rows = torch.arange(len(self.columns), device=self.columns.device)
        self.keys[rows, :, self.columns] = key_states[:, :, 0]
        self.values[rows, :, self.columns] = value_states[:, :, 0]
        return self.keys[:, :, : self.shown], self.values[:, :, : self.shown]

    def get_seq_length(self) -> int:
        return self.shown


class RunningCache(Cache):
    """The caches of E sequences of different lengths; a sequence's token t is in column t."""

    def __init__(self, prompts: KeysAndValues) -> None:
        """Begin with the keys and values of prompts, padded on the right."""
        self._rows = [_RowLayer(keys, values) for keys, values in prompts]
        super().__init__(layers=[*self._rows])

    def join(self, prompts: KeysAndValues) -> None:
        """Add sequences after those that are there."""
        joined = [
            (_stacked(layer.keys, keys), _stacked(layer.values, values))
            for layer, (keys, values) in zip(self._rows, prompts, strict=True)
        ]  # where memory runs out halfway, nothing has changed
        for layer, (keys, values) in zip(self._rows, joined, strict=True):
            layer.keys, layer.values = keys, values

    def keep(self, rows: Sequence[int]) -> None:
        """Keep these sequences and drop all others."""
        for layer in self._rows:
            index = torch.tensor(rows, device=layer.keys.device)
            layer.keys, layer.values = layer.keys.index_select(0, index), layer.values.index_select(0, index)

    def next_columns(self, lengths: Sequence[int]) -> None:
        """Have the next update write each sequence's token after so many."""
        shown = max(lengths) + 1
        for layer in self._rows:
            if shown > layer.keys.shape[2]:
                layer.keys, layer.values = _wider(layer.keys, shown + STEP), _wider(layer.values, shown + STEP)
            layer.columns, layer.shown = torch.tensor(lengths, device=layer.keys.device), shown


def _stacked(first: Tensor, second: Tensor) -> Tensor:
    width = max(first.shape[2], second.shape[2])
    return torch.cat([_wider(first, width), _wider(second, width)])


def _wider(states: Tensor, columns: int) -> Tensor:
    if columns == states.shape[2]:
        return states
    wide = states.new_zeros(*states.shape[:2], columns, states.shape[3])
    wide[:, :, : states.shape[2]] = states
    return wide
