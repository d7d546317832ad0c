"""Attention over packed trees, a whole row at once: a mask hides from each node all that isn't on its own path.

On a GPU this is faster than branch by branch, though it computes more scores: one fused kernel a layer takes the place
of a dozen that gather and scatter, and the time of small kernels is that of starting them. Its backward pass adds
nothing up in an order of its own, so a run can be repeated to the bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from persona_sweeps.data.packing import IntArray, PackedRow
from persona_sweeps.models.attention import Device, Options, TreeLayout, additive, tree_layout

ALIGNED = 16
"""numbers to which a mask's rows are padded in memory: the fused kernel would else copy the mask in each layer"""


@dataclass(frozen=True, slots=True)
class RowLayout:
    """The trees of a packed batch: in depth-first order a node's descendants are those up to its subtree's end.

    Soft-capped scores have no fused kernel, and all pairs of a row would take too much memory: for them the rows are
    divided into branches.
    """

    rows: tuple[PackedRow, ...]
    length: int
    ends: Tensor
    """[R, L] the first slot after each node's subtree; padding ends at once, so that it sees itself only"""
    positions: Tensor
    """[R, L]"""
    masks: dict[tuple[int | None, torch.dtype], Tensor] = field(default_factory=dict, repr=False)
    copies: dict[torch.device, RowLayout] = field(default_factory=dict, repr=False)
    """the same layout on other devices"""
    by_branch: list[TreeLayout] = field(default_factory=list, repr=False)
    """the same rows in branches, once they are needed"""

    def attend(self, query: Tensor, key: Tensor, value: Tensor, options: Options) -> Tensor:
        if options.softcap is not None:
            if not self.by_branch:
                self.by_branch.append(tree_layout(self.rows, self.length, self.ends.device))
            return self.by_branch[0].attend(query, key, value, options)
        groups = query.shape[1] // key.shape[1]
        if groups > 1:
            key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
        mask = self._mask(options.window, query.dtype)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask, scale=options.scaling)
        return attended.transpose(1, 2)

    def _mask(self, window: int | None, dtype: torch.dtype) -> Tensor:
        """Return the additive mask [R, 1, L, L], the same for every layer with this window."""
        if (window, dtype) not in self.masks:
            slots = torch.arange(self.length, device=self.ends.device)
            visible = (slots[None, :] <= slots[:, None]) & (slots[:, None] < self.ends[:, None, :])
            if window is not None:
                visible &= self.positions[:, :, None] - self.positions[:, None, :] < window
            whole = -(-self.length // ALIGNED) * ALIGNED
            mask = torch.empty(*visible.shape[:2], whole, dtype=dtype, device=visible.device)[:, None, :, : self.length]
            self.masks[window, dtype] = mask.copy_(additive(visible, dtype))
        return self.masks[window, dtype]

    def to(self, device: Device, non_blocking: bool = False) -> RowLayout:
        device = torch.device(device)
        if device == self.ends.device:
            return self
        if device not in self.copies:
            ends, positions = (tensor.to(device, non_blocking=non_blocking) for tensor in (self.ends, self.positions))
            self.copies[device] = RowLayout(self.rows, self.length, ends, positions)
        return self.copies[device]


def subtree_ends(rows: Sequence[PackedRow], length: int) -> IntArray:
    """Return `RowLayout.ends` of rows that are padded to `length` slots."""
    ends = np.tile(np.arange(1, length + 1, dtype=np.int64), (len(rows), 1))
    for row, packed in enumerate(rows):
        open_nodes = np.zeros(0, dtype=np.int64)
        start = 0
        for branch in packed.branches:
            ends[row, open_nodes[branch.shared :]] = start
            open_nodes = branch.path
            start += len(branch)
        ends[row, open_nodes] = start
    return ends
