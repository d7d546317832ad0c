"""One forward pass of the base model over packed rows of several trials."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

from persona_sweeps.adapters.stack import AdapterStack
from persona_sweeps.training.batch import PackedBatch
from persona_sweeps.training.loss import label_nll, output_head, weighted_nll
from persona_sweeps.training.masks import attention_masks


class GroupForward:
    """The base model with a stack of adapters, run on packed batches."""

    def __init__(self, model: PreTrainedModel, stack: AdapterStack) -> None:
        self.model = model
        self.stack = stack
        self.decoder = model.base_model
        self.head = output_head(model)
        self.config = model.config

    def hidden(self, batch: PackedBatch, *, dropout: bool = False, cache: Cache | None = None) -> Tensor:
        """Return the last hidden states [R, L, hidden], filling `cache` if one is given.

        The batch's trials must be stacked already, in the batch's order.
        """
        self.stack.route(batch.slots, batch.keys if dropout else None)
        return self.decode(self.stack.embed(batch), batch.mask, batch.positions, batch.positions, cache)

    def decode(
        self, embeddings: Tensor, visible: Tensor, positions: Tensor, key_positions: Tensor, cache: Cache | None
    ) -> Tensor:
        """Run embeddings [R, Q, hidden] at `positions` [R, Q] that see the keys `visible` [R, Q, K] allows.

        Keys are what `cache` holds (at `key_positions` [R, K], these included) and these themselves.
        """
        output = self.decoder(
            inputs_embeds=embeddings,
            attention_mask=attention_masks(self.config, visible, positions, key_positions, embeddings.dtype),
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return output.last_hidden_state

    def loss(self, batch: PackedBatch, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return (Σ wᵢ·NLLᵢ over the batch's labels with a gradient, the NLLs [N])."""
        self.stack.stack(batch.trials)
        hidden = self.hidden(batch, dropout=True)[batch.label_rows, batch.label_nodes]
        return weighted_nll(self.head, hidden, batch.label_tokens, weights)

    @torch.no_grad()
    def nll(self, batch: PackedBatch) -> Tensor:
        """Return the NLL [N] in nats of each label."""
        hidden = self.hidden(batch)[batch.label_rows, batch.label_nodes]
        return label_nll(self.head, hidden, batch.label_tokens)
