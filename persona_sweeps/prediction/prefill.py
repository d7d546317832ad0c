"""Run prompts packed, so that a beginning that several share is computed once a trial; each gets its own cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from persona_sweeps.data.packing import PackedRow, TokenSequence, pack
from persona_sweeps.methods.forward import GroupForward
from persona_sweeps.models.batch import collate, split_passes
from persona_sweeps.prediction.kv_cache import KeysAndValues, gather_paths
from persona_sweeps.training.trial import ROW_TOKEN_SLOTS, with_virtual_tokens


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One text to generate: the trial whose adapter answers, the prompt's tokens, and the seed of its random stream."""

    trial: int
    prompt: tuple[int, ...]
    stream: int


def prefill(
    forward: GroupForward, requests: Sequence[GenerationRequest], trials: Sequence[int], token_slots: int
) -> tuple[Tensor, KeysAndValues]:
    """Run the prompts of E requests in passes of so many token slots.

    Returns the logits [E, vocabulary] after each prompt, and per layer the keys and values [E, heads, columns,
    head_dim] of each prompt with its virtual tokens, padded on the right. `trials` are those stacked, in their order.
    """
    parts: list[KeysAndValues] = []
    hidden: list[Tensor] = []
    order: list[int] = []
    rows = [(trial, row) for trial in trials for row in _packed(forward, requests, trial)]
    width = max(len(path) for _, row in rows for _, path in row.paths)
    for chunk in split_passes(rows, token_slots):
        filled = DynamicCache()
        states = forward.hidden(collate(chunk, forward.model.device, trials=trials), cache=filled)
        prompts = [(r, index, path) for r, (_, row) in enumerate(chunk) for index, path in row.paths]
        paths = [torch.from_numpy(path) for _, _, path in prompts]
        parts.append(gather_paths(filled, [r for r, _, _ in prompts], paths, width))
        hidden += [states[r, path[-1]] for r, _, path in prompts]
        order += [index for _, index, _ in prompts]
    inverse = torch.tensor(order).argsort()
    return forward.head(torch.stack(hidden)[inverse.to(hidden[0].device)]), _in_order(parts, inverse)


def _packed(forward: GroupForward, requests: Sequence[GenerationRequest], trial: int) -> list[PackedRow]:
    """Return a trial's prompts packed; each ends with a placeholder token that is never computed."""
    virtual = forward.stack.adapters[trial].virtual_tokens
    prompts = [
        with_virtual_tokens(TokenSequence((*request.prompt, 0), len(request.prompt), index), virtual)
        for index, request in enumerate(requests)
        if request.trial == trial
    ]
    return pack(prompts, ROW_TOKEN_SLOTS) if prompts else []


def _in_order(parts: Sequence[KeysAndValues], order: Tensor) -> KeysAndValues:
    """Join what passes gave along the sequences, and put these in order."""
    layers = []
    for layer_parts in zip(*parts, strict=True):
        keys, values = (torch.cat(tensors) for tensors in zip(*layer_parts, strict=True))
        rows = order.to(keys.device)
        layers.append((keys.index_select(0, rows), values.index_select(0, rows)))
    return layers
