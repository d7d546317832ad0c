"""Keys of one method in a sweep over several."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from omegaconf import OmegaConf

from persona_sweeps.config.method_keys import apply_method_keys
from persona_sweeps.errors import ConfigError
from tests.conftest import Ended

KEYS = ("methods.lora.r=2", "methods.lora.learning_rate=3e-4", "methods.prompt_tuning.num_virtual_tokens=5")


def test_each_method_has_keys_of_its_own_and_others_none(launch: Callable[..., Ended], tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "peft=none,lora,prompt_tuning", *KEYS, "train.max_steps=1")
    assert ended.code == 0, ended.err
    peft = {record["config"]["peft"]["method"]: record["config"] for record in ended.records()}
    assert peft["lora"]["peft"]["r"] == 2 and peft["lora"]["train"]["learning_rate"] == 3e-4
    assert peft["prompt_tuning"]["peft"]["num_virtual_tokens"] == 5
    assert peft["prompt_tuning"]["train"]["learning_rate"] == 1e-2
    assert all("methods" not in config or not config["methods"] for config in peft.values())


def test_the_same_settings_are_the_same_run(launch: Callable[..., Ended], tiny: tuple[str, ...]) -> None:
    first = launch(*tiny, "peft=lora", "peft.r=2", "train.max_steps=1")
    again = launch("-m", *tiny, "peft=lora", "methods.lora.r=2", "train.max_steps=1")
    assert first.code == again.code == 0 and len(again.records()) == 1


def test_a_key_for_all_methods_wins(launch: Callable[..., Ended], tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "peft=lora,dora", "methods.lora.r=2", "peft.r=3", "train.max_steps=1")
    assert [record["config"]["peft"]["r"] for record in ended.records()] == [3, 3]


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        ({"lora": {"rr": 8}}, "methods.lora.rr is no key of peft=lora. Did you mean r"),
        ({"lorra": {"r": 8}}, "methods.lorra: there is no such method.*Did you mean lora"),
        ({"lora": 8}, "methods.lora=8 must be a mapping"),
    ],
)
def test_what_doesn_t_exist_gets_the_nearest_name(methods: dict, message: str) -> None:
    config = OmegaConf.create({"peft": {"method": "lora", "r": 16, "alpha": 32}, "methods": methods})
    with pytest.raises(ConfigError, match=message):
        apply_method_keys(config, [])
