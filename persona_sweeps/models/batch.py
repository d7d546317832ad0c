"""Turn packed rows of several trials into the tensors of one forward pass."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from persona_sweeps.data.packing import PackedRow
from persona_sweeps.models.attention import Layout, tree_layout
from persona_sweeps.models.row_attention import RowLayout, subtree_ends
from persona_sweeps.models.transfer import on_device


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """R rows of at most L token slots, each of one trial, and their N labels."""

    tokens: Tensor
    """[R, L] token ids; 0 at virtual tokens and padding"""
    virtual: tuple[Tensor, Tensor, Tensor]
    """row, column and index within the soft prompt of each virtual token"""
    positions: Tensor
    """[R, L]"""
    keys: Tensor
    """[R, L] int64 hash of the path from the root"""
    layout: Layout
    """which nodes attend to which"""
    row_trials: Tensor
    """[R] the trial of each row, as an index into `trials`"""
    one_row_each: bool
    """whether row k is the only one of trial k, and every trial has one"""
    trials: tuple[int, ...]
    """the trials whose adapters are stacked for this batch"""
    label_rows: Tensor
    label_nodes: Tensor
    label_tokens: Tensor
    label_trials: Tensor
    label_examples: Tensor
    """[N] each; `label_trials` are indices into `trials`"""

    @property
    def token_slots(self) -> int:
        """How many token slots the batch has, including padding."""
        return self.tokens.numel()


@dataclass(frozen=True, slots=True)
class Padding:
    """Multiples up to which the slots of a row and the labels of a batch are padded, so that few sizes occur."""

    slots: int
    labels: int


@dataclass(frozen=True, slots=True)
class HostBatch:
    """A batch before it is copied to its device: all its tensors in one."""

    flat: Tensor
    """[n] int64"""
    shapes: dict[str, tuple[int, ...]]
    """of the parts, in their order"""
    rows: tuple[PackedRow, ...]
    length: int
    one_row_each: bool
    trials: tuple[int, ...]

    def to(self, device: torch.device | str) -> PackedBatch:
        """Return the batch on a device, in one copy."""
        return self.on(on_device(self.flat, device))

    def on(self, flat: Tensor) -> PackedBatch:
        """Return the batch whose tensors are parts of a copy of `flat`."""
        pieces = flat.split([math.prod(shape) for shape in self.shapes.values()])
        on = {name: piece.view(shape) for (name, shape), piece in zip(self.shapes.items(), pieces, strict=True)}
        ends = on.pop("ends", None)
        virtual = (on.pop("virtual_rows"), on.pop("virtual_columns"), on.pop("virtual_index"))
        layout: Layout = (
            RowLayout(self.rows, self.length, ends, on["positions"])
            if ends is not None
            else tree_layout(self.rows, self.length, flat.device)
        )
        return PackedBatch(layout=layout, virtual=virtual, one_row_each=self.one_row_each, trials=self.trials, **on)


def collate(
    rows: Sequence[tuple[int, PackedRow]], device: torch.device | str, trials: Sequence[int] | None = None
) -> PackedBatch:
    """Pad the rows of (trial, row) pairs on the right to the longest, and return them as a batch on `device`.

    `trials` are the trials whose adapters are stacked; by default those of the rows.
    """
    return host_batch(rows, trials, whole_rows=torch.device(device).type == "cuda").to(device)


def host_batch(
    rows: Sequence[tuple[int, PackedRow]],
    trials: Sequence[int] | None = None,
    *,
    whole_rows: bool,
    padding: Padding = Padding(1, 1),
) -> HostBatch:
    """Do as `collate` does, but for the copy; `whole_rows` says how attention is computed.

    Labels that are padding are those of no trial: their `label_trials` is the number of trials.
    """
    length = _rounded(max(len(row) for _, row in rows), padding.slots)
    stacked = tuple(sorted({trial for trial, _ in rows}) if trials is None else trials)
    shape = (len(rows), length)
    tokens = np.zeros(shape, dtype=np.int64)
    positions = np.zeros(shape, dtype=np.int64)
    keys = np.zeros(shape, dtype=np.uint64)
    for index, (_, row) in enumerate(rows):
        size = len(row)
        tokens[index, :size] = row.tokens
        positions[index, :size] = row.positions
        keys[index, :size] = row.keys
    virtual_rows, virtual_columns = np.nonzero(tokens < 0)
    virtual_index = -1 - tokens[virtual_rows, virtual_columns]
    tokens[virtual_rows, virtual_columns] = 0
    row_trials = np.asarray([stacked.index(trial) for trial, _ in rows], dtype=np.int64)
    packed = tuple(row for _, row in rows)
    label_rows = np.repeat(np.arange(len(rows), dtype=np.int64), [len(row.label_nodes) for row in packed])
    labels = {
        "label_rows": label_rows,
        "label_trials": row_trials[label_rows],
        **{
            name: np.concatenate([getattr(row, name) for row in packed])
            for name in ("label_nodes", "label_tokens", "label_examples")
        },
    }
    missing = _rounded(len(label_rows), padding.labels) - len(label_rows)
    beyond = {"label_trials": len(stacked)}
    arrays = {
        "tokens": tokens,
        "positions": positions,
        "keys": keys.view(np.int64),
        "row_trials": row_trials,
        "virtual_rows": virtual_rows,
        "virtual_columns": virtual_columns,
        "virtual_index": virtual_index,
        **{name: np.pad(part, (0, missing), constant_values=beyond.get(name, 0)) for name, part in labels.items()},
        **({"ends": subtree_ends(packed, length)} if whole_rows else {}),
    }
    return HostBatch(
        flat=torch.from_numpy(np.concatenate([array.ravel() for array in arrays.values()])),
        shapes={name: array.shape for name, array in arrays.items()},
        rows=packed,
        length=length,
        one_row_each=np.array_equal(row_trials, np.arange(len(stacked))),
        trials=stacked,
    )


def _rounded(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def split_passes(rows: Sequence[tuple[int, PackedRow]], max_token_slots: int) -> list[list[tuple[int, PackedRow]]]:
    """Divide rows into forward passes of at most `max_token_slots` each, longest rows first so that few are padding.

    Gradients add up over passes, so the division changes memory and speed, not the result.
    """
    passes: list[list[tuple[int, PackedRow]]] = []
    longest = 0
    for pair in sorted(rows, key=lambda pair: -len(pair[1])):
        if not passes or (len(passes[-1]) + 1) * longest > max_token_slots:
            passes.append([])
            longest = len(pair[1])
        passes[-1].append(pair)
    return [sorted(rows, key=lambda pair: pair[0]) for rows in passes]
