"""Tiny twins, adapters, trials and comparisons for the equalities that the engine promises."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from persona_sweeps.config.predictor import Predictor
from persona_sweeps.config.schema import FourBitConfig, Int8Config, ModelConfig, QuantizationConfig, TrainConfig
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.dora import Dora
from persona_sweeps.methods.full import Full
from persona_sweeps.methods.ia3 import Ia3
from persona_sweeps.methods.lora import Lora
from persona_sweeps.methods.lora_prompt import LoraPrompt
from persona_sweeps.methods.method import Method
from persona_sweeps.methods.p_tuning import PTuning
from persona_sweeps.methods.prefix_tuning import PrefixTuning
from persona_sweeps.methods.prompt_tuning import PromptTuning
from persona_sweeps.methods.rslora import RsLora
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.prediction.references.untuned import Untuned
from tests.conftest import freeze_libraries

CARDS = ("smollm2_135m_instruct", "mistral_7b", "qwen25_14b", "qwen3_32b", "gemma2_27b", "gemma3_270m", "gpt2")
PAIRS: dict[str, Any] = {"r": 4, "alpha": 8.0, "dropout": 0.0, "target_modules": "all-linear", "init": "default"}
LORA = Lora(**PAIRS)
PROMPT = PromptTuning(num_virtual_tokens=5, init="sample_vocab")
NONE = Untuned()
PREFIX = PrefixTuning(num_virtual_tokens=4, init="sample_vocab")
METHODS: dict[str, Method] = {
    "lora": LORA,
    "rslora": RsLora(**PAIRS),
    "dora": Dora(**PAIRS),
    "pissa": replace(LORA, init="pissa"),
    "olora": RsLora(**PAIRS | {"init": "olora"}),
    "dora from pissa": Dora(**PAIRS | {"init": "pissa"}),
    "ia3": Ia3(),
    "prompt_tuning": PROMPT,
    "p_tuning": PTuning(num_virtual_tokens=6, encoder_hidden_size=16),
    "prefix_tuning": PREFIX,
    "lora_prompt": LoraPrompt(
        **PAIRS | {"r": 3, "alpha": 6.0}, num_virtual_tokens=4, prompt_init="sample_vocab", prompt_rate_ratio=10.0
    ),
    "full": Full(),
}
"""a config of every method that trains, by a name for it"""
STACKED = [name for name in METHODS if name != "full"]
TRAIN = TrainConfig(
    learning_rate=1e-2,
    epochs=1,
    batch_size=4,
    warmup_ratio=0.2,
    scheduler="cosine",
    weight_decay=0.01,
    max_grad_norm=1.0,
    max_length=512,
)
QUANTIZATIONS: dict[str, QuantizationConfig] = {
    "int8": Int8Config(method="int8", threshold=6.0),
    "nf4": FourBitConfig(method="nf4", double_quant=True),
    "fp4": FourBitConfig(method="fp4", double_quant=False),
}
TINY_VOCABULARY = 1000


def adapter_of(base: BaseModel, config: Predictor, seed: int = 0, spread: float | None = 0.05) -> Adapter:
    """A fresh adapter, with weights drawn at random so that both factors of LoRA have a gradient."""
    adapter = config.create(base.model, base.tokenizer, seed)
    generator = torch.Generator().manual_seed(seed)
    if spread is not None:
        for parameter in adapter.parameters():
            parameter.data += (torch.randn(parameter.shape, generator=generator) * spread).to(parameter.device)
    return adapter


def relative_error(ours: torch.Tensor, reference: torch.Tensor) -> float:
    return float((ours - reference).norm() / reference.norm().clamp(min=1e-12))


def trained_with(**changes: object) -> TrainConfig:
    return replace(TRAIN, **changes)  # type: ignore[arg-type]


@pytest.fixture(params=CARDS)
def base(request: pytest.FixtureRequest, compose_card: Callable[..., ModelConfig]) -> BaseModel:
    """The tiny twin of each family in turn, in fp32."""
    return load_twin(compose_card(request.param, "scale=tiny"))


@pytest.fixture
def llama(compose_card: Callable[..., ModelConfig]) -> BaseModel:
    return load_twin(compose_card("smollm2_135m_instruct", "scale=tiny"))


def load_twin(card: ModelConfig) -> BaseModel:
    found = load_base(card, torch.float32, "cpu")
    freeze_libraries()
    return found


@pytest.fixture
def sequences() -> list[TokenSequence]:
    """Ten examples behind one 40-token card, longer than the twins' sliding windows; some share more."""
    rng = random.Random(0)

    def tokens(count: int) -> list[int]:
        return [rng.randrange(7, TINY_VOCABULARY) for _ in range(count)]

    card = tokens(40)
    scenes = [card + tokens(12) for _ in range(3)]
    found = []
    for index in range(10):
        prompt = scenes[index % 3] + tokens(rng.randrange(1, 6))
        found.append(TokenSequence((*prompt, *tokens(rng.randrange(3, 20))), len(prompt), index))
    return found


class RepeatingTape:
    """Does the work anew at each replay, from the tensors that it was recorded with: a CPU records nothing."""

    def __init__(self) -> None:
        self.recorded = self.replayed = 0

    def forget(self) -> None:
        pass

    def record(self, work: Callable[[], torch.Tensor]) -> tuple[Callable[[], None], torch.Tensor]:
        self.recorded += 1
        result = torch.empty(0)

        def replay() -> None:
            self.replayed += 1
            result.data = work().detach()

        return replay, result
