"""What keeps a valid cell from running on a machine: it is known before anything starts, and left on the cell."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from persona_sweeps.planning import obstacles
from persona_sweeps.planning.cells import Cell

SHORT = ("model.scale=tiny", "train.max_length=512")


def sentences(cell: Cell) -> str:
    return " ".join(obstacle.sentence for obstacle in cell.obstacles)


def short(cell: Cell) -> list[str]:
    return [obstacle.short for obstacle in cell.obstacles]


@pytest.fixture
def no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)


@pytest.mark.parametrize("name", ["llama2_7b", "gemma2_27b"])
def test_a_gated_model_needs_a_token(
    make_cell: Callable, monkeypatch: pytest.MonkeyPatch, no_token: None, name: str
) -> None:
    cell = make_cell(f"model={name}")
    assert short(cell) == ["no token"] and "is gated and there is no token" in sentences(cell)
    assert not make_cell(f"model={name}", "model.scale=tiny").obstacles
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_something")
    assert not make_cell(f"model={name}").obstacles


def test_a_model_that_is_not_here_is_an_obstacle_where_the_hub_must_not_be_asked(
    make_cell: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    cell = make_cell("model=qwen3_32b")
    assert short(cell) == ["HF_HUB_OFFLINE"] and "HF_HUB_OFFLINE is set" in sentences(cell)


def test_a_run_without_a_model_needs_its_tokenizer(make_cell: Callable, no_token: None, own_cache: object) -> None:
    assert short(make_cell("model=gemma2_27b", "peft=nearest_reply")) == ["no token"]


def test_weights_beyond_the_memory_are_an_obstacle_and_so_is_what_is_trained(
    make_cell: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = make_cell("model=gpt2", *SHORT, "peft=lora").config
    monkeypatch.setattr(obstacles, "total_memory_bytes", lambda device: 4_000_000_000)
    assert obstacles.too_large(config, 3_000_000_000) is None
    assert obstacles.too_large(config, 3_000_000_000, 1_000_000_000) is None
    for weights, states, words in ((5e9, 0, "5.0 GB of weights alone"), (3e9, 2e9, "and 2.0 GB to train peft=lora")):
        obstacle = obstacles.too_large(config, int(weights), int(states))
        assert obstacle is not None and obstacle.short == "too little memory" and words in obstacle.sentence


def test_weights_beyond_the_memory_may_fit_quantized(make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obstacles, "total_memory_bytes", lambda device: 1)
    sentences = {
        chosen: str(obstacles.too_large(make_cell("model=gpt2", *SHORT, *chosen).config, 5))
        for chosen in [("quantization=int8",), ("quantization=nf4",), ("peft=full",)]
    }
    assert ["quantization=nf4" in sentence for sentence in sentences.values()] == [True, False, False]
    assert "gpt2 in int8 takes" in sentences[("quantization=int8",)]


def test_quantization_needs_its_package(make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not make_cell("model=gpt2", *SHORT, "quantization=nf4").obstacles
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    cell = make_cell("model=gpt2", *SHORT, "quantization=nf4")
    assert short(cell) == ["no bitsandbytes"] and "'persona-sweeps[quantization]'" in sentences(cell)
    assert not make_cell("model=gpt2", *SHORT).obstacles


def test_bf16_needs_a_gpu_with_its_units(make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = ("model=gpt2", *SHORT, "train.precision=bf16")
    monkeypatch.setattr(obstacles, "resolve_device", lambda device: "cuda")
    monkeypatch.setattr(obstacles, "cuda_capability", lambda: 7)
    assert "compute capability 8.0" in sentences(make_cell(*chosen))
    monkeypatch.setattr(obstacles, "cuda_capability", lambda: None)
    assert short(make_cell(*chosen)) == ["no CUDA"]


def test_what_is_done_has_no_obstacle(
    launch: Callable, make_cell: Callable, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another machine's results are looked at on one that couldn't make them."""
    assert launch(*tiny).code == 0
    monkeypatch.setattr(obstacles, "OF_A_MODEL", (lambda config, weights: obstacles.Obstacle("none", "Nothing runs."),))
    assert make_cell(*tiny).done and not make_cell(*tiny).obstacles
    assert short(make_cell(*tiny, "seed=5")) == ["none"]
