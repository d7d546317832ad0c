"""The real tokens that soft prompts and prefixes start as."""

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
    """How virtual tokens start: as so many tokens, chosen as `name` says, with the text that `text` starts from."""

    name: str
    tokens: int
    text: str | None = None


Choice = Callable[["PreTrainedTokenizerBase", TokenInit, torch.Generator], Tensor]
"""returns the ids [V] of the tokens to start as"""


def _sample_vocab(tokenizer: PreTrainedTokenizerBase, init: TokenInit, generator: torch.Generator) -> Tensor:
    """Tokens drawn from the vocabulary, the tokenizer's own special ones left out."""
    special = set(tokenizer.all_special_ids)
    words = torch.tensor([token for token in range(len(tokenizer)) if token not in special])
    return words[torch.randint(len(words), (init.tokens,), generator=generator)]


def _text(tokenizer: PreTrainedTokenizerBase, init: TokenInit, generator: torch.Generator) -> Tensor:
    """Those of the text, repeated or cut to the number of virtual tokens, as PEFT does."""
    ids = tokenizer(init.text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise ConfigError("peft.init_text has no tokens: give it some words.")
    repeats = -(-init.tokens // len(ids))
    return torch.tensor((ids * repeats)[: init.tokens])


CHOICES: dict[str, Choice] = {"sample_vocab": _sample_vocab, "text": _text}
"""init → the real tokens; the init called random starts as none"""


def choose_tokens(tokenizer: PreTrainedTokenizerBase, init: TokenInit, generator: torch.Generator) -> Tensor:
    """Return the ids [V] of the tokens to start as; for init=random, of sampled ones, whose spread it takes."""
    return CHOICES.get(init.name, _sample_vocab)(tokenizer, init, generator)
