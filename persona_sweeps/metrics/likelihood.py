"""Perplexity, nats a token and bits a byte, from the summed negative log-likelihoods of evaluation examples."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from persona_sweeps.data.packing import TokenSequence


def likelihood_metrics(nll: np.ndarray, tokens: Sequence[int], text_bytes: Sequence[int]) -> dict[str, float]:
    """Return completion_nll, completion_ppl and bits_per_byte of N examples.

    `nll` [N] is in nats, summed over each example's `tokens` [N] labels, its end token among them. The mean is over
    tokens, not over examples. Bits a byte divide by the UTF-8 bytes of the completions' text [N], so models with
    different tokenizers can be compared.
    """
    mean = float(nll.sum()) / sum(tokens)
    bits = float(nll.sum()) / math.log(2)
    return {"completion_nll": mean, "completion_ppl": _exp(mean), "bits_per_byte": bits / max(1, sum(text_bytes))}


def all_token_metrics(nll: np.ndarray, tokens: Sequence[int]) -> dict[str, float]:
    """Return the same for every token after the first, the prompt's among them."""
    mean = float(nll.sum()) / sum(tokens)
    return {"all_tokens_nll": mean, "all_tokens_ppl": _exp(mean)}


def on_completion(sequence: TokenSequence, prompt_length: int) -> TokenSequence:
    """Put the completion alone under loss, whatever training does."""
    return TokenSequence(sequence.tokens, prompt_length, sequence.index)


def on_all_tokens(sequence: TokenSequence) -> TokenSequence:
    """Put every token but the first under loss."""
    return TokenSequence(sequence.tokens, 1, sequence.index)


def label_count(sequence: TokenSequence) -> int:
    return len(sequence.tokens) - sequence.loss_from


def _exp(value: float) -> float:
    return math.exp(value) if value < 700 else math.inf
