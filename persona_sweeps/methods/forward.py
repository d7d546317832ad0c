"""Run a forward pass of the base model over packed rows of several trials."""

from __future__ import annotations

import torch
from torch import Tensor
from transformers import PreTrainedModel
from transformers.cache_utils import Cache

from persona_sweeps.lifecycle import watchdog
from persona_sweeps.methods.prefix import PrefixedLayout
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.attention import Layout, attend_by_layout
from persona_sweeps.models.batch import PackedBatch
from persona_sweeps.models.loss import label_nll, output_head, weighted_nll


class GroupForward:
    """The base model with a stack of adapters, run on packed batches."""

    def __init__(self, model: PreTrainedModel, stack: AdapterStack) -> None:
        self.model = model
        self.stack = stack
        self.decoder = model.get_decoder()
        self.head = output_head(model)
        attend_by_layout(model)

    def hidden(self, batch: PackedBatch, *, dropout: bool = False, cache: Cache | None = None) -> Tensor:
        """Return the last hidden states [R, L, hidden], and fill `cache` if one is given.

        The batch's trials must already be stacked, in the batch's order.
        """
        self.stack.route(batch.row_trials, batch.keys if dropout else None, one_row_each=batch.one_row_each)
        layout = self.stack.layout(batch)
        hidden = self.decode(self.stack.embed(batch), batch.positions, layout, cache)
        if cache is not None and isinstance(layout, PrefixedLayout):
            layout.fill(cache)
        return hidden

    def decode(self, embeddings: Tensor, positions: Tensor, layout: Layout, cache: Cache | None) -> Tensor:
        """Return the hidden states of embeddings [R, Q, hidden] at `positions` [R, Q]; the layout controls attention.

        The result is on the device of `positions`, wherever the last layer is.
        """
        watchdog.feed()
        output = self.decoder(
            inputs_embeds=embeddings,
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
            layout=layout,
        )
        return output.last_hidden_state.to(positions.device)

    def loss(self, batch: PackedBatch, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return Σ wᵢ·NLLᵢ over the batch's labels, with a gradient, and the NLLs [N] without one."""
        self.stack.stack(batch.trials)
        hidden = self.hidden(batch, dropout=True)[batch.label_rows, batch.label_nodes]
        return weighted_nll(self.head, hidden, batch.label_tokens, weights)

    @torch.no_grad()
    def nll(self, batch: PackedBatch) -> Tensor:
        """Return the NLL [N] in nats of each label."""
        hidden = self.hidden(batch)[batch.label_rows, batch.label_nodes]
        return label_nll(self.head, hidden, batch.label_tokens)
