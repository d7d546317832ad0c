"""Choose the real tokens from which soft prompts and prefixes are initialized."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from persona_sweeps.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class TokenInit:
    """How to initialize virtual tokens: `name` is sample_vocab, text or random, `tokens` how many there are."""

    name: str
    tokens: int
    text: str | None = None


Choice = Callable[["PreTrainedTokenizerBase", TokenInit, torch.Generator], Tensor]
"""returns the ids [V] of the initial tokens"""


def _sample_vocab(tokenizer: PreTrainedTokenizerBase, init: TokenInit, generator: torch.Generator) -> Tensor:
    """Return tokens drawn from the vocabulary without special tokens."""
    special = set(tokenizer.all_special_ids)
    candidates = torch.tensor([token for token in range(len(tokenizer)) if token not in special])
    return candidates[torch.randint(len(candidates), (init.tokens,), generator=generator)]


def _text(tokenizer: PreTrainedTokenizerBase, init: TokenInit, generator: torch.Generator) -> Tensor:
    """Return the text's tokens, repeated or cut to the number of virtual tokens, as PEFT does."""
    ids = tokenizer(init.text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise ConfigError("peft.init_text has no tokens: give it some words.")
    repeats = -(-init.tokens // len(ids))
    return torch.tensor((ids * repeats)[: init.tokens])


CHOICES: dict[str, Choice] = {"sample_vocab": _sample_vocab, "text": _text}
"""init → the real tokens; init=random starts from no token"""


def choose_tokens(tokenizer: PreTrainedTokenizerBase, init: TokenInit, generator: torch.Generator) -> Tensor:
    """Return the ids [V] of the initial tokens; for init=random, of sampled tokens, whose spread it uses."""
    return CHOICES.get(init.name, _sample_vocab)(tokenizer, init, generator)
