"""Advance sequences by a token: run the newest token of each, with its keys and values in a cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from persona_sweeps.methods.forward import GroupForward
from persona_sweeps.models.attention import CacheLayout
from persona_sweeps.prediction.kv_cache import SlotCache
from persona_sweeps.training.recording import Tape

TOLERANCE = 1e-3
"""relative error of logits that are replayed, which should have none"""

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
    """The same on a GPU: one step is recorded, over all columns of the cache, and replayed for every token.

    Raises RuntimeError if it can't be recorded, or if what is replayed isn't what is computed.
    """

    def __init__(
        self, forward: GroupForward, sequences: Sequences, cache: SlotCache, tape: Tape, first_step: int
    ) -> None:
        """Record on `tape`, for the steps from `first_step` on."""
        self._sequences = sequences
        self._tokens = torch.zeros_like(sequences.lengths)
        self._column = torch.full((1,), sequences.width + first_step, device=sequences.lengths.device)
        self._columns = torch.arange(cache.width, device=sequences.lengths.device)
        # A recording reads these tensors where they are, so they must live as long as it does.
        work = partial(_run, forward, sequences, cache, self._tokens, self._columns, self._column)
        cache.write_at(self._column)
        computed = work()
        self._replay, self._logits = tape.record(work)
        self._replay()
        error = (self._logits - computed).float().norm() / computed.float().norm()
        if not error < TOLERANCE:
            raise RuntimeError(f"what is replayed differs by {float(error):.2g} from what is computed")

    def __call__(self, tokens: Tensor, step: int) -> Tensor:
        self._tokens.copy_(tokens)
        self._column.fill_(self._sequences.width + step)
        self._replay()
        return self._logits.clone()
