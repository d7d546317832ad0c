"""Load a model card's base model and tokenizer: full size, with random weights, or as the tiny twin."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from persona_sweeps.config.schema import Scale, WeightsKind
from persona_sweeps.models.fingerprints import tokenizer_fingerprint
from persona_sweeps.models.loading_errors import explaining_errors, explaining_tokenizer_errors
from persona_sweeps.models.placement import Placement, check_all_placed, placement_of
from persona_sweeps.models.quantization import UNQUANTIZED, prepare, silence_bitsandbytes, transformers_config
from persona_sweeps.models.random_weights import random_model
from persona_sweeps.models.source import ModelFiles, find_source, locate
from persona_sweeps.models.tiny import tiny_fingerprint, tiny_model
from persona_sweeps.models.tiny_tokenizer import tiny_tokenizer
from persona_sweeps.progress_bars import no_progress_bars

if TYPE_CHECKING:
    import torch
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

    from persona_sweeps.config.schema import ModelConfig, QuantizationConfig

__all__ = ["BaseModel", "load_base", "load_tokenizer", "tokenizer_fingerprint"]


@dataclass(frozen=True, slots=True)
class BaseModel:
    """The frozen weights with their tokenizer.

    `model` is in eval mode, and no parameter of it requires a gradient. `fingerprint` identifies the weights: the
    SHA-256 (hex) of the files, the Hub commit, or the hash of a twin's config and seed.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    fingerprint: str


def load_tokenizer(card: ModelConfig) -> PreTrainedTokenizerBase:
    """Return the card's tokenizer; if it has no padding token, its end token serves as one.

    Random weights have the tiny twin's tokenizer: they understand no text anyway, and it needs no download.
    Raises `UserError`, saying what to do, if it can't be loaded.
    """
    if card.scale is Scale.tiny or card.weights is WeightsKind.random:
        return tiny_tokenizer(card)
    return _pretrained_tokenizer(card, find_source(card))


def load_base(
    card: ModelConfig, dtype: torch.dtype, device: str, quantization: QuantizationConfig = UNQUANTIZED
) -> BaseModel:
    """Return the card's base model on `device`, frozen, with its tokenizer; what isn't quantized is in `dtype`.

    A model too large for the first GPU is spread over all of them, and `model.device` is then the first; one that is
    made here is never spread. The weights are made here if `model.scale=tiny` or `model.weights=random`, else they
    come from the folder `model.hub_id`, the package of `model.embedded`, or the Hub (safetensors only, no remote
    code). Raises `UserError` if they can't be loaded.
    """
    silence_bitsandbytes()
    stored = transformers_config(quantization, dtype)
    if card.scale is Scale.tiny:
        model = _stored(tiny_model(card), card, dtype, device, stored)
        base = BaseModel(model, tiny_tokenizer(card), tiny_fingerprint(card))
    elif card.weights is WeightsKind.random:
        model = _stored(random_model(card, dtype, device), card, dtype, device, stored)
        base = BaseModel(model, tiny_tokenizer(card), locate(card).identity)
    else:
        source = find_source(card)
        model = _pretrained_model(card, source, dtype, placement_of(card, quantization, dtype, device), stored)
        check_all_placed(model, card)
        base = BaseModel(model, _pretrained_tokenizer(card, source), source.fingerprint)
    base.model.eval().requires_grad_(False)
    if stored is not None:
        prepare(base.model, quantization)
    return base


def _stored(
    model: PreTrainedModel, card: ModelConfig, dtype: torch.dtype, device: str, stored: BitsAndBytesConfig | None
) -> PreTrainedModel:
    """Return a model that was made here as it is to be stored; transformers quantizes while it reads weights."""
    if stored is None:
        return model.to(device=device, dtype=dtype)  # type: ignore[call-arg]  # transformers hides the types of `to`
    with no_progress_bars():
        return type(model).from_pretrained(
            None,
            config=model.config,
            state_dict=model.state_dict(),
            dtype=dtype,
            device_map=device,
            attn_implementation=card.attention,
            quantization_config=stored,
        )


def _pretrained_tokenizer(card: ModelConfig, source: ModelFiles) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    with explaining_tokenizer_errors(card):
        tokenizer = AutoTokenizer.from_pretrained(
            source.location, revision=source.revision or "main", trust_remote_code=False
        )
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def _pretrained_model(
    card: ModelConfig, source: ModelFiles, dtype: torch.dtype, placement: Placement, stored: BitsAndBytesConfig | None
) -> PreTrainedModel:
    from transformers import AutoModelForCausalLM

    # A progress bar helps with a download, not with local files.
    quiet = no_progress_bars() if source.is_local else contextlib.nullcontext()
    with explaining_errors(card), quiet:
        return AutoModelForCausalLM.from_pretrained(
            source.location,
            revision=source.revision or "main",
            dtype=dtype,
            device_map=placement.device_map,
            max_memory=placement.max_memory,
            attn_implementation=card.attention,
            quantization_config=stored,
            use_safetensors=True,
            trust_remote_code=False,
        )
