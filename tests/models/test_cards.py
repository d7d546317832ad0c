"""What the model cards say: facts that count the parameters right, names that fit, counterparts that point back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.models.architecture import card_config
from persona_sweeps.models.layers import linear_layers
from persona_sweeps.models.skeleton import skeleton
from tests.conftest import EVERY_CARD
from tests.toolbox import LORA

Composer = Callable[..., ModelConfig]

RANK_64 = {
    "llama3_8b": 167_772_160,
    "llama3_8b_instruct": 167_772_160,
    "llama31_8b": 167_772_160,
    "llama31_8b_instruct": 167_772_160,
    "mistral_7b": 167_772_160,
    "mistral_7b_instruct": 167_772_160,
    "qwen25_14b": 275_251_200,
    "qwen25_14b_instruct": 275_251_200,
    "qwen3_32b": 536_870_912,
    "gemma2_27b": 456_720_384,
    "gemma2_27b_it": 456_720_384,
    "gemma3_27b": 454_066_176,
    "gemma3_27b_it": 454_066_176,
}
"""LoRA parameters of rank 64 on all linear layers, as PEFT counts them on the published models"""

PUBLISHED = {
    "llama2_7b": 6_738_415_616,
    "llama3_8b": 8_030_261_248,
    "llama32_1b": 1_235_814_400,
    "mistral_7b": 7_248_023_552,
    "qwen25_14b": 14_770_033_664,
    "qwen3_32b": 32_762_123_264,
    "gemma2_27b": 27_227_128_320,
    "gemma3_270m": 268_098_176,
    "gpt2": 124_439_808,
    "smollm2_135m": 134_515_008,
}
"""parameters of the published weights"""


def lora_parameters(card: ModelConfig, rank: int, targets: str | list[str]) -> int:
    return replace(LORA, r=rank, target_modules=targets).trainable_parameters(skeleton(card))


@pytest.mark.parametrize("name", RANK_64)
def test_lora_parameters_are_those_of_the_published_shapes(compose_card: Composer, name: str) -> None:
    assert lora_parameters(compose_card(name), 64, "all-linear") == RANK_64[name]


def test_lora_on_two_layers_of_llama_2(compose_card: Composer) -> None:
    assert lora_parameters(compose_card("llama2_7b"), 8, ["q_proj", "v_proj"]) == 4_194_304


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_skeleton_has_as_many_parameters_as_the_published_weights(compose_card: Composer, name: str) -> None:
    parameters = {id(parameter): parameter.numel() for parameter in skeleton(compose_card(name)).parameters()}
    assert sum(parameters.values()) == PUBLISHED[name]


@pytest.mark.parametrize("name", EVERY_CARD)
def test_the_layers_named_are_those_that_the_model_has(compose_card: Composer, name: str) -> None:
    card = compose_card(name)
    for model in (skeleton(card), skeleton(compose_card(name, "scale=tiny"))):
        assert {path.rsplit(".", 1)[-1] for path in linear_layers(model)} == set(card.linear_layers)


@pytest.mark.parametrize("name", EVERY_CARD)
def test_a_counterpart_points_back_and_differs_in_training_only(compose_card: Composer, name: str) -> None:
    card = compose_card(name)
    if card.counterpart is None:
        return
    other = compose_card(card.counterpart)
    assert other.counterpart == name and other.instruct != card.instruct and other.family == card.family
    shapes = [card_config(found) for found in (card, other)]
    assert shapes[0] is not None and shapes[1] is not None
    assert shapes[0].hidden_size == shapes[1].hidden_size


def test_facts_are_of_the_cards_own_model_only(compose_card: Composer, tmp_path: Path) -> None:
    assert card_config(compose_card("gpt2")) is not None
    assert card_config(compose_card("gpt2", "hub_id=someone/else")) is None
    assert card_config(compose_card("gpt2", f"hub_id={tmp_path}")) is None
    assert card_config(compose_card("gpt2", "scale=tiny")) is None
