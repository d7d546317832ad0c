"""A base model goes to one device, or over all GPUs where it is too large for the first."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from persona_sweeps import device
from persona_sweeps.config.schema import ModelConfig, Scale
from persona_sweeps.errors import UserError
from persona_sweeps.models import loading, placement
from persona_sweeps.models.loading import load_base
from persona_sweeps.models.placement import Placement, placement_of, spread
from persona_sweeps.models.quantization import UNQUANTIZED, predicted_bytes
from persona_sweeps.models.skeleton import skeleton
from tests.toolbox import QUANTIZATIONS


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend GPUs with so many bytes each, of which a tenth is taken."""

    def pretend(*memories: int) -> None:
        for module in (device, placement):
            monkeypatch.setattr(module, "device_count", lambda: len(memories))
        monkeypatch.setattr(device, "_cuda_memory", lambda index: memories[index])
        monkeypatch.setattr(placement, "free_bytes", lambda index: memories[index] * 9 // 10)

    return pretend


def test_only_what_is_too_large_for_the_first_gpu_is_spread_and_over_the_free_memory_of_gpus_alone(
    gpus: Callable[..., None],
) -> None:
    gpus(80, 80, 40)
    assert spread(80, "cuda") == Placement("cuda")
    assert spread(81, "cuda") == Placement("auto", {0: 72, 1: 72, 2: 36})
    assert spread(10**18, "cpu") == Placement("cpu")
    gpus(80)
    assert spread(81, "cuda") == Placement("cuda")


def test_what_counts_is_the_model_as_it_is_stored(
    gpus: Callable[..., None], compose_card: Callable[..., ModelConfig]
) -> None:
    card = compose_card("qwen25_14b")
    weights = predicted_bytes(skeleton(card), UNQUANTIZED, 2)
    gpus(weights, weights)
    assert placement_of(card, UNQUANTIZED, torch.bfloat16, "cuda").device_map == "cuda"
    assert placement_of(card, UNQUANTIZED, torch.float32, "cuda").device_map == "auto"
    gpus(weights - 1, weights - 1)
    assert placement_of(card, UNQUANTIZED, torch.bfloat16, "cuda").device_map == "auto"
    assert placement_of(card, QUANTIZATIONS["nf4"], torch.bfloat16, "cuda").device_map == "cuda"
    assert placement_of(card, UNQUANTIZED, torch.float32, "cpu") == Placement("cpu")


def test_layers_for_which_there_is_no_room_are_told(
    compose_card: Callable[..., ModelConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    twin = load_base(compose_card("mistral_7b", "scale=tiny"), torch.float32, "cpu")
    twin.model.save_pretrained(tmp_path)
    twin.tokenizer.save_pretrained(tmp_path)
    card = dataclasses.replace(compose_card("mistral_7b"), hub_id=str(tmp_path), scale=Scale.full)
    size = sum(parameter.numel() * 4 for parameter in twin.model.parameters())

    def with_memory(memory: int) -> None:
        monkeypatch.setattr(loading, "placement_of", lambda *asked: Placement("auto", {"cpu": memory}))

    with_memory(2 * size)
    loaded = load_base(card, torch.float32, "cpu").model
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), twin.model.parameters(), strict=True))
    with_memory(size // 2)
    with pytest.raises(UserError, match=r"model=mistral_7b doesn't fit into the GPUs' free memory"):
        load_base(card, torch.float32, "cpu")
