from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
import torch

from persona_sweeps.config.kinds import FAMILIES
from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.errors import ConfigError
from persona_sweeps.models.loading import load_base
from persona_sweeps.models.tiny import tiny_config, tiny_fingerprint, tiny_model
from tests.conftest import EVERY_CARD

Composer = Callable[..., ModelConfig]


@pytest.fixture(params=EVERY_CARD)
def card(request: pytest.FixtureRequest, compose_card: Composer) -> ModelConfig:
    return compose_card(request.param, "scale=tiny")


def test_every_family_is_rehearsed_by_a_card(compose_card: Composer) -> None:
    assert {compose_card(name).family for name in EVERY_CARD} == set(FAMILIES.builtin)


def test_a_card_is_named_after_its_file(compose_card: Composer) -> None:
    assert [compose_card(name).name for name in EVERY_CARD] == EVERY_CARD


def test_the_same_weights_come_out_each_time_and_global_randomness_is_untouched(card: ModelConfig) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = tiny_model(card).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    second = tiny_model(card).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_twin_is_frozen_in_eval_mode_and_tells_tokens_apart(card: ModelConfig) -> None:
    base = load_base(card, torch.float32, "cpu")
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert base.model.config._attn_implementation == card.attention
    tokens = base.tokenizer("To be, or not to be: that is the question.", return_tensors="pt")
    logits = base.model(**tokens).logits
    assert torch.isfinite(logits).all()
    assert logits.std() > 0.3
    assert logits.shape[-1] == len(base.tokenizer)


def test_a_bf16_twin_is_the_rounded_fp32_twin(card: ModelConfig) -> None:
    wide = load_base(card, torch.float32, "cpu")
    narrow = load_base(card, torch.bfloat16, "cpu")
    assert narrow.fingerprint == wide.fingerprint
    narrow_state = narrow.model.state_dict()
    for name, value in wide.model.state_dict().items():
        assert torch.equal(value.to(torch.bfloat16), narrow_state[name]), name


def test_embeddings_are_tied_where_the_config_says_so(card: ModelConfig) -> None:
    model = tiny_model(card)
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    assert tied == model.config.tie_word_embeddings


@pytest.mark.parametrize(("name", "window"), [("mistral_7b", 32), ("gemma2_27b", 16), ("gemma3_270m", 16)])
def test_a_sliding_window_hides_what_lies_behind_it(compose_card: Composer, name: str, window: int) -> None:
    """Watched after the first layer, which slides in each of these families."""
    model = tiny_model(compose_card(name)).eval()
    length = 2 * window + 4
    tokens = torch.arange(length)[None] + 300
    changed = tokens.clone()
    changed[0, 0] += 1
    with torch.no_grad():
        hidden = [model(ids, output_hidden_states=True).hidden_states[1] for ids in (tokens, changed)]
    moved = (hidden[0] != hidden[1]).any(dim=-1)[0]
    assert moved[: window - 1].any()
    assert not moved[window:].any()


@pytest.mark.parametrize("name", ["qwen3_32b", "gemma3_270m"])
def test_heads_together_are_wider_than_the_hidden_state(compose_card: Composer, name: str) -> None:
    config = tiny_config(compose_card(name))
    assert config.num_attention_heads * config.head_dim != config.hidden_size


def test_a_fingerprint_follows_what_the_weights_depend_on(compose_card: Composer) -> None:
    cards = [compose_card(name) for name in ("llama32_1b", "mistral_7b", "gpt2")]
    assert len({tiny_fingerprint(card) for card in cards}) == 3
    assert tiny_fingerprint(cards[0]) == tiny_fingerprint(dataclasses.replace(cards[0], hub_id="elsewhere/model"))


def test_an_unknown_family_is_told_with_the_nearest_name(compose_card: Composer) -> None:
    card = dataclasses.replace(compose_card("gemma2_27b"), family="gema2")
    with pytest.raises(ConfigError, match=r"model\.family=gema2 is unknown: .*Did you mean gemma2"):
        tiny_config(card)
