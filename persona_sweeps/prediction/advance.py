"""Advance sequences by a token: run the newest token of each, with its keys and values in a cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from persona_sweeps.methods.forward import GroupForward
from persona_sweeps.models.attention import CacheLayout
from persona_sweeps.prediction.kv_cache import SlotCache
from persona_sweeps.training.recording import Tape

Advance = Callable[[Tensor, int], Tensor]
"""(newest tokens [E], step) → logits [E, vocabulary] of the next, on the head's device"""


@dataclass(frozen=True, slots=True)
class Sequences:
    """What is known of E sequences before they advance."""

    lengths: Tensor
    """[E] tokens of their prompts, virtual ones too"""
    row_trials: Tensor
    """[E] the stacked trial of each"""
    width: int
    """columns of the cache that prompts take; the new tokens have those after them"""


def advance(forward: GroupForward, sequences: Sequences, cache: SlotCache, tokens: Tensor, step: int) -> Tensor:
    """Run the newest tokens [E], which are the new token `step`; return the logits of the next."""
    columns = torch.arange(sequences.width + step + 1, device=tokens.device)
    return _run(forward, sequences, cache, tokens, columns, columns[-1:])


def _run(
    forward: GroupForward, sequences: Sequences, cache: SlotCache, tokens: Tensor, columns: Tensor, column: Tensor
) -> Tensor:
    """Run tokens whose keys and values go to `column` [1], and that see the columns up to it."""
    lengths, width = sequences.lengths[:, None], sequences.width
    visible = (columns < lengths) | ((columns >= width) & (columns <= column))
    key_positions = torch.where(columns < width, columns, lengths + columns - width)
    positions = lengths + column - width
    forward.stack.route(sequences.row_trials)
    embeddings = forward.model.get_input_embeddings()(tokens[:, None])
    layout = CacheLayout(visible[:, None, :], positions, key_positions)
    return forward.head(forward.decode(embeddings, positions, layout, cache)[:, -1])


class RecordedAdvance:
    """The same on a GPU: one step is recorded, over all columns of the cache, and replayed for every token."""

    def __init__(self, forward: GroupForward, sequences: Sequences, cache: SlotCache, tape: Tape) -> None:
        self._tokens = torch.zeros_like(sequences.lengths)
        self._column = torch.zeros(1, dtype=torch.int64, device=sequences.lengths.device)
        self._width = sequences.width
        columns = torch.arange(cache.width, device=sequences.lengths.device)
        cache.write_at(self._column)
        self._replay, self._logits = tape.record(
            lambda: _run(forward, sequences, cache, self._tokens, columns, self._column)
        )

    def __call__(self, tokens: Tensor, step: int) -> Tensor:
        self._tokens.copy_(tokens)
        self._column.fill_(self._width + step)
        self._replay()
        return self._logits.clone()
