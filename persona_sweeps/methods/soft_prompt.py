"""Soft prompts: the embeddings of a trial's virtual tokens, and their insertion into a batch of many trials."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from persona_sweeps.methods.virtual_tokens import TokenInit, choose_tokens
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.batch import PackedBatch
from persona_sweeps.seeds import derive_seed


@dataclass(slots=True)
class PromptWeights:
    """A soft prompt whose embeddings [V, hidden] are trained directly (Lester et al. 2021)."""

    embeddings: nn.Parameter

    def __len__(self) -> int:
        return self.embeddings.shape[0]

    def values(self) -> Tensor:
        return self.embeddings

    def parameters(self) -> Iterator[nn.Parameter]:
        yield self.embeddings


def create_prompt(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, init: TokenInit, seed: int
) -> PromptWeights:
    """Return an initial soft prompt: embeddings of real tokens, or Gaussian noise with the embeddings' spread.

    It is on the model's first device, as batches are.
    """
    generator = torch.Generator().manual_seed(derive_seed(seed, "prompt"))
    if init.name == "random":
        spread = _embed(model, torch.arange(min(len(tokenizer), 4096))).std()
        hidden = model.config.get_text_config().hidden_size
        embeddings = torch.randn(init.tokens, hidden, generator=generator) * spread
    else:
        embeddings = _embed(model, choose_tokens(tokenizer, init, generator))
    return PromptWeights(nn.Parameter(embeddings.to(model.device)))


@torch.no_grad()
def _embed(model: PreTrainedModel, ids: Tensor) -> Tensor:
    return model.get_input_embeddings()(ids.to(model.device)).float().cpu()


def stack_prompts(adapters: Sequence[Adapter]) -> Tensor | None:
    """Return the soft prompts of these trials as [K, longest V, hidden], zero-padded; None if there are none."""
    return stack_virtual([adapter.prompt.values() if adapter.prompt is not None else None for adapter in adapters])


def stack_virtual(values: Sequence[Tensor | None]) -> Tensor | None:
    """Stack the virtual tokens of K trials, each [V, …], as [K, longest V, …], zero-padded; None if there are none."""
    present = [tensor for tensor in values if tensor is not None]
    if not present:
        return None
    longest = max(map(len, present))
    empty = torch.zeros_like(present[0][:0])
    padding = (0, 0) * (present[0].dim() - 1)
    filled = [tensor if tensor is not None else empty for tensor in values]
    return torch.stack([F.pad(tensor, (*padding, 0, longest - len(tensor))) for tensor in filled])


def virtual_slots(batch: PackedBatch, trials: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return row, column and index of the virtual tokens of the batch's trials that `trials` [K] marks."""
    rows, columns, index = batch.virtual
    chosen = trials[batch.row_trials[rows]]
    return rows[chosen], columns[chosen], index[chosen]


def insert_prompts(
    embeddings: Tensor, prompts: Tensor | None, adapters: Sequence[Adapter], batch: PackedBatch
) -> Tensor:
    """Return token embeddings [R, L, hidden] with each row's soft prompt at its virtual tokens."""
    if prompts is None:
        return embeddings
    prompted = torch.tensor([adapter.prompt is not None for adapter in adapters], device=embeddings.device)
    rows, columns, index = virtual_slots(batch, prompted)
    values = prompts[batch.row_trials[rows], index].to(embeddings.dtype)
    return embeddings.index_put((rows, columns), values)
