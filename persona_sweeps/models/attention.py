"""Attention over packed trees, branch by branch: a branch's nodes attend to their own path only.

Registered with transformers as `persona_sweeps_layout`, it replaces the attention of any model that calls transformers'
attention interface. The masks are built here from the layout, so no model family needs its own masks: what a family
needs (sliding window, logit soft-cap, grouped keys) arrives as arguments of the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn
from transformers import AttentionInterface, PreTrainedModel

from persona_sweeps.data.packing import Branch, PackedRow

NAME = "persona_sweeps_layout"
BUCKET_RATIO = 0.6
"""branches share a bucket while the shortest has at least this share of the longest's nodes"""


@dataclass(frozen=True, slots=True)
class Options:
    """A layer's attention settings: scores are q·k·scaling, soft-capped, within a window of positions."""

    scaling: float
    window: int | None
    softcap: float | None
    layer: int = 0


Device = torch.device | str | int
"""a device as accelerate names it: GPUs by their number"""


class Layout(Protocol):
    """Which tokens attend to which in one forward pass."""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, options: Options) -> Tensor:
        """Return [R, Q, heads, head_dim] for query [R, heads, Q, head_dim], keys and values [R, kv heads, K, …]."""
        ...

    def to(self, device: Device, non_blocking: bool = False) -> Layout:
        """Return the same layout on a device, copied there once.

        If the model is spread over devices, accelerate's hooks call this at each layer, as they do for tensors.
        """
        ...


@dataclass(slots=True)
class _Bucket:
    """B branches of similar length: each adds at most q nodes, and its path has at most k nodes."""

    queries: Tensor
    """[B, q] indices of the added nodes in the flattened batch"""
    keys: Tensor
    """[B, k] indices of the paths' nodes"""
    query_depths: Tensor
    """[B, q]"""
    masks: dict[tuple[int | None, torch.dtype], Tensor] = field(default_factory=dict)

    def mask(self, window: int | None, dtype: torch.dtype) -> Tensor:
        """Return the additive mask [B, 1, q, k]. A key's index in its path is its depth and its position."""
        if (window, dtype) not in self.masks:
            depths = torch.arange(self.keys.shape[1], device=self.keys.device)
            distance = self.query_depths[:, :, None] - depths
            visible = distance >= 0
            if window is not None:
                visible &= distance < window
            self.masks[window, dtype] = additive(visible, dtype)
        return self.masks[window, dtype]

    def to(self, device: torch.device, non_blocking: bool) -> _Bucket:
        """Return a copy on a device; it makes its masks there."""
        tensors = (self.queries, self.keys, self.query_depths)
        queries, keys, depths = (tensor.to(device, non_blocking=non_blocking) for tensor in tensors)
        return _Bucket(queries, keys, depths)


@dataclass(frozen=True, slots=True)
class TreeLayout:
    """The branches of a packed batch, in buckets of similar length, so that little of a bucket is padding."""

    buckets: tuple[_Bucket, ...]
    result_index: Tensor
    """[R * L] index of each node's result among the buckets' joined results"""
    copies: dict[torch.device, TreeLayout] = field(default_factory=dict, repr=False)
    """the same layout on other devices"""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, options: Options) -> Tensor:
        rows, heads, length, width = query.shape
        flat_query, flat_key, flat_value = (_by_node(states) for states in (query, key, value))
        results = []
        for bucket in self.buckets:
            attended = _attention(
                _pick(flat_query, bucket.queries),
                _pick(flat_key, bucket.keys),
                _pick(flat_value, bucket.keys),
                bucket.mask(options.window, query.dtype),
                options,
            )
            results.append(attended.transpose(1, 2).reshape(-1, heads * value.shape[-1]))
        joined = results[0] if len(results) == 1 else torch.cat(results)
        return joined.index_select(0, self.result_index).view(rows, length, heads, value.shape[-1])

    def to(self, device: Device, non_blocking: bool = False) -> TreeLayout:
        device = torch.device(device)
        if device == self.result_index.device:
            return self
        if device not in self.copies:
            buckets = tuple(bucket.to(device, non_blocking) for bucket in self.buckets)
            self.copies[device] = TreeLayout(buckets, self.result_index.to(device, non_blocking=non_blocking))
        return self.copies[device]


@dataclass(frozen=True, slots=True)
class CacheLayout:
    """New tokens that attend to a cache: `visible` [R, Q, K], and the positions [R, Q] and [R, K] of both."""

    visible: Tensor
    positions: Tensor
    key_positions: Tensor
    masks: dict[tuple[int | None, torch.dtype], Tensor] = field(default_factory=dict, repr=False)
    copies: dict[torch.device, CacheLayout] = field(default_factory=dict, repr=False)
    """the same layout on other devices"""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, options: Options) -> Tensor:
        mask = self._mask(options.window, query.dtype)
        return _attention(query, key, value, mask, options).transpose(1, 2)

    def _mask(self, window: int | None, dtype: torch.dtype) -> Tensor:
        """Return the additive mask [R, 1, Q, K], the same for every layer with this window."""
        if (window, dtype) not in self.masks:
            visible = self.visible
            if window is not None:
                visible = visible & (self.positions[:, :, None] - self.key_positions[:, None, :] < window)
            self.masks[window, dtype] = additive(visible, dtype)
        return self.masks[window, dtype]

    def to(self, device: Device, non_blocking: bool = False) -> CacheLayout:
        device = torch.device(device)
        if device == self.visible.device:
            return self
        if device not in self.copies:
            tensors = (self.visible, self.positions, self.key_positions)
            visible, positions, keys = (tensor.to(device, non_blocking=non_blocking) for tensor in tensors)
            self.copies[device] = CacheLayout(visible, positions, keys)
        return self.copies[device]


def tree_layout(rows: Sequence[PackedRow], length: int, device: torch.device | str) -> TreeLayout:
    """Return the layout of rows that are padded to `length` token slots each.

    Padding attends to the root of its own row. Its result has weight zero, but zero times an infinity of another
    trial's row would be NaN.
    """
    branches = [(row * length, branch) for row, packed in enumerate(rows) for branch in packed.branches]
    branches.sort(key=lambda pair: -len(pair[1]))
    groups: list[list[tuple[int, Branch]]] = []
    for pair in branches:
        if not groups or len(pair[1]) < BUCKET_RATIO * len(groups[-1][0][1]):
            groups.append([])
        groups[-1].append(pair)
    result_index = np.zeros(len(rows) * length, dtype=np.int64)
    offset = 0
    buckets = []
    for group in groups:
        q, k = _padded(len(group[0][1]), 16), _padded(max(len(branch.path) for _, branch in group), 32)
        roots = np.asarray([[start] for start, _ in group], dtype=np.int64)
        queries, keys = np.repeat(roots, q, axis=1), np.repeat(roots, k, axis=1)
        depths = np.zeros((len(group), q), dtype=np.int64)
        for index, (start, branch) in enumerate(group):
            added = start + branch.added
            queries[index, : len(added)] = added
            keys[index, : len(branch.path)] = start + branch.path
            depths[index] = branch.shared + np.arange(q)
            result_index[added] = offset + index * q + np.arange(len(added))
        offset += len(group) * q
        on_queries, on_keys, on_depths = (torch.from_numpy(array).to(device) for array in (queries, keys, depths))
        buckets.append(_Bucket(on_queries, on_keys, on_depths))
    for row, packed in enumerate(rows):
        result_index[row * length + len(packed) : (row + 1) * length] = result_index[row * length]
    return TreeLayout(tuple(buckets), torch.from_numpy(result_index).to(device))


def attend_by_layout(model: PreTrainedModel) -> None:
    """Make the model use the attention of this module, which follows the `layout` of each call."""
    AttentionInterface.register(NAME, _layout_attention)
    model.set_attn_implementation(NAME)
    # cuDNN makes a plan for each shape that it hasn't seen, which takes longer than the attention; few shapes repeat.
    torch.backends.cuda.enable_cudnn_sdp(False)


def _layout_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    layout: Layout | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    if layout is None:
        raise ValueError("this model attends by layout: call it through GroupForward")
    scale = query.shape[-1] ** -0.5 if scaling is None else scaling
    layer = getattr(module, "layer_idx", 0)
    options = Options(scale, sliding_window, softcap, layer)
    return layout.attend(query, key, value, options), None


def _attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, options: Options) -> Tensor:
    """Return masked attention [B, heads, q, head_dim] with grouped keys and values [B, kv heads, k, head_dim].

    It has plain products, which on CPUs are up to three times as fast as the fused kernel, whose backward pass is slow;
    a soft-cap (Gemma-2) has no fused kernel. The heads of a group share one product with their key.

    Softmax computes in fp32 whatever dtype it reads and writes. To request fp32 results and round them afterwards would
    give the same numbers at eight times the cost.
    """
    size, heads, q, width = query.shape
    grouped = (size, key.shape[1], heads // key.shape[1] * q, -1)
    scores = ((query * options.scaling).reshape(grouped) @ key.transpose(-1, -2)).view(size, heads, q, -1)
    if options.softcap is not None:
        scores = torch.tanh(scores / options.softcap) * options.softcap
    probabilities = torch.softmax(scores.add_(mask), dim=-1)
    return (probabilities.view(grouped) @ value).view(size, heads, q, -1)


def _by_node(states: Tensor) -> Tensor:
    """Reshape [R, heads, L, head_dim] to [R * L, heads, head_dim]."""
    return states.transpose(1, 2).flatten(0, 1)


def _pick(flat: Tensor, index: Tensor) -> Tensor:
    """Select from [R * L, heads, head_dim] at index [B, n]; return [B, heads, n, head_dim]."""
    return flat.index_select(0, index.flatten()).view(*index.shape, *flat.shape[1:]).transpose(1, 2)


def _padded(length: int, multiple: int) -> int:
    """Round a length up to a multiple: bf16 products of other sizes can be many times slower on CPUs."""
    return -(-length // multiple) * multiple


def additive(visible: Tensor, dtype: torch.dtype) -> Tensor:
    """Return the mask [B, 1, q, k] to add to scores, from bool [B, q, k]."""
    hidden = torch.full((), torch.finfo(dtype).min, dtype=dtype, device=visible.device)
    return torch.where(visible[:, None], torch.zeros((), dtype=dtype, device=visible.device), hidden)
