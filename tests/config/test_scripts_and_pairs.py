"""The experiments friends_scripts and chandler: what their projects' text and code say, and that overrides fit."""

from __future__ import annotations

from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from persona_sweeps.config.schema import register_schemas
from tests.conftest import CONF


def composed(name: str, *overrides: str) -> Any:
    register_schemas()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", [f"experiment={name}", *overrides], return_hydra_config=True)


def test_text_and_code_of_friends_scripts_differ_in_quantization_and_rank() -> None:
    text, code = composed("friends_scripts"), composed("friends_scripts_code")
    assert (text.quantization.method, text.peft.r, text.peft.alpha) == ("int8", 8, 32)
    assert (code.quantization.method, code.peft.r, code.peft.alpha) == ("nf4", 16, 64)
    assert code.quantization.double_quant
    for config in (text, code):
        train, generation = config.train, config.generation
        assert config.model.name == "llama2_7b" and list(config.peft.target_modules) == ["q_proj", "v_proj"]
        assert (config.dataset.too_long, config.dataset.stride, train.max_length) == ("windows", 512, 1024)
        assert (config.dataset.unit, config.dataset.loss_on, config.dataset.eval_fraction) == (
            "episodes",
            "all_tokens",
            0.1,
        )
        assert (train.scheduler, train.eval_every, train.patience, train.keep) == ("constant", 250, 2, "best")
        assert config.peft.dropout == 0.1
        assert (generation.temperature, generation.top_k, generation.top_p) == (0.9, 50, 0.95)
        assert (generation.repetition_penalty, generation.max_new_tokens) == (1.2, 2048)


def test_chandler_has_its_settings() -> None:
    config = composed("chandler")
    train, peft = config.train, config.peft
    assert (config.model.name, config.quantization.method) == ("llama32_1b_instruct", "nf4")
    assert (peft.r, peft.alpha, peft.dropout, train.learning_rate) == (16, 32, 0.05, 2e-4)
    assert (train.epochs, train.batch_size, train.micro_batch_size, train.warmup_steps) == (1, 2, 1, 10)
    assert (train.precision, train.eval_every, train.eval_at_start) == ("bf16", 50, True)


@pytest.mark.parametrize("name", ["friends_scripts", "friends_scripts_code", "chandler"])
def test_another_model_without_quantization_fits(name: str) -> None:
    config = composed(name, "model=smollm2_135m", "quantization=none", "model.scale=tiny")
    assert config.quantization.method == "none" and config.sweep.name == name
