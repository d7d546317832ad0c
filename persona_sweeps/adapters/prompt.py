"""Prompt tuning: how a soft prompt begins, and how those of many trials enter one batch of embeddings."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from persona_sweeps.adapters.weights import Adapter, PromptWeights
from persona_sweeps.config import PromptTuningConfig
from persona_sweeps.seeds import derive_seed
from persona_sweeps.training.batch import PackedBatch

Init = Callable[[PreTrainedModel, PreTrainedTokenizerBase, PromptTuningConfig, torch.Generator], Tensor]


def _sample_vocab(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: PromptTuningConfig, generator: torch.Generator
) -> Tensor:
    """Embeddings of tokens drawn from the vocabulary, the tokenizer's own special ones left out."""
    special = set(tokenizer.all_special_ids)
    words = torch.tensor([token for token in range(len(tokenizer)) if token not in special])
    drawn = torch.randint(len(words), (config.num_virtual_tokens,), generator=generator)
    return _embed(model, words[drawn])


def _text(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: PromptTuningConfig, generator: torch.Generator
) -> Tensor:
    """Embeddings of `peft.init_text`, repeated or cut to the number of virtual tokens, as PEFT does."""
    ids = tokenizer(config.init_text, add_special_tokens=False)["input_ids"]
    repeats = -(-config.num_virtual_tokens // len(ids))
    return _embed(model, torch.tensor((ids * repeats)[: config.num_virtual_tokens]))


def _random(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: PromptTuningConfig, generator: torch.Generator
) -> Tensor:
    """Gaussian with the spread of the model's own input embeddings."""
    spread = _embed(model, torch.arange(min(len(tokenizer), 4096))).std()
    hidden = model.config.get_text_config().hidden_size
    return torch.randn(config.num_virtual_tokens, hidden, generator=generator) * spread


INITS: dict[str, Init] = {"sample_vocab": _sample_vocab, "text": _text, "random": _random}


@torch.no_grad()
def _embed(model: PreTrainedModel, ids: Tensor) -> Tensor:
    return model.get_input_embeddings()(ids.to(model.device)).float().cpu()


def create_prompt(
    model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, config: PromptTuningConfig, seed: int
) -> PromptWeights:
    """Return a fresh soft prompt, begun as `peft.init` says with the trial's own generator."""
    generator = torch.Generator().manual_seed(derive_seed(seed, "prompt"))
    embeddings = INITS[config.init](model, tokenizer, config, generator)
    return PromptWeights(nn.Parameter(embeddings.to(model.device)))


def stack_prompts(adapters: Sequence[Adapter]) -> Tensor | None:
    """Return the soft prompts of these trials as [K, longest V, hidden], zero-padded; None when there is none."""
    prompts = [adapter.prompt for adapter in adapters]
    present = [prompt for prompt in prompts if prompt is not None]
    if not present:
        return None
    longest = max(map(len, present))
    empty = torch.zeros_like(present[0].embeddings[:0])
    stacked = [prompt.embeddings if prompt is not None else empty for prompt in prompts]
    return torch.stack([F.pad(tensor, (0, 0, 0, longest - len(tensor))) for tensor in stacked])


def place_prompts(embeddings: Tensor, prompts: Tensor | None, batch: PackedBatch) -> Tensor:
    """Put each row's soft prompt at the virtual tokens of its token embeddings [R, L, hidden]."""
    rows, columns, index = batch.virtual
    if prompts is None or not len(rows):
        return embeddings
    values = prompts[batch.slots[rows], index].to(embeddings.dtype)
    return embeddings.index_put((rows, columns), values)
