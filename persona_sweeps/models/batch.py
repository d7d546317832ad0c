"""Turn packed rows of several trials into the tensors of one forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from persona_sweeps.data.packing import PackedRow
from persona_sweeps.models.attention import Layout, tree_layout
from persona_sweeps.models.row_attention import RowLayout, subtree_ends
from persona_sweeps.models.transfer import together


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


def collate(
    rows: Sequence[tuple[int, PackedRow]], device: torch.device | str, trials: Sequence[int] | None = None
) -> PackedBatch:
    """Pad the rows of (trial, row) pairs on the right to the longest, and return them as a batch on `device`.

    `trials` are the trials whose adapters are stacked; by default those of the rows.
    """
    length = max(len(row) for _, row in rows)
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
    counts = [len(row.label_nodes) for _, row in rows]
    label_rows = np.repeat(np.arange(len(rows), dtype=np.int64), counts)
    packed = [row for _, row in rows]
    by_row = torch.device(device).type == "cuda"
    ends = {"ends": subtree_ends(packed, length)} if by_row else {}
    arrays = {
        "tokens": tokens,
        "positions": positions,
        "keys": keys.view(np.int64),
        "row_trials": row_trials,
        "label_rows": label_rows,
        "label_trials": row_trials[label_rows],
        "virtual_rows": virtual_rows,
        "virtual_columns": virtual_columns,
        "virtual_index": virtual_index,
    }
    labels = {
        name: np.concatenate([getattr(row, name) for row in packed])
        for name in ("label_nodes", "label_tokens", "label_examples")
    }
    on = together(arrays | labels | ends, device)
    return PackedBatch(
        tokens=on["tokens"],
        virtual=(on["virtual_rows"], on["virtual_columns"], on["virtual_index"]),
        positions=on["positions"],
        keys=on["keys"],
        layout=RowLayout(tuple(packed), length, on["ends"], on["positions"])
        if by_row
        else tree_layout(packed, length, device),
        row_trials=on["row_trials"],
        one_row_each=np.array_equal(row_trials, np.arange(len(stacked))),
        trials=stacked,
        label_rows=on["label_rows"],
        label_nodes=on["label_nodes"],
        label_tokens=on["label_tokens"],
        label_trials=on["label_trials"],
        label_examples=on["label_examples"],
    )


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
