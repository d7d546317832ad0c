"""The plan as a whole: what works, what doesn't and why, and what it will take, before anything runs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from persona_sweeps.models.families import family_of
from persona_sweeps.planning import obstacles
from persona_sweeps.planning.plan import make_plan
from persona_sweeps.planning.preflight import PassSize, Prediction, activation_bytes, predict, shape_of
from persona_sweeps.planning.review import refusal, size

SHORT = ("model.scale=tiny", "train.max_length=512")


@pytest.fixture
def hub_offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")


def test_plan_only_tells_and_runs_nothing(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "peft=none,lora", "peft.learning_rate=1e-3", "plan=only")
    assert ended.code == 0, ended.err
    assert not ended.records() and "2 to run in 1 group" in ended.out
    assert "Group 1: 2 trials" in ended.out and "Total: 2 to run" in ended.out
    assert not list(ended.output.glob("sweeps/*/sweep.json"))


def test_what_is_planned_is_what_is_run(launch: Callable, tiny: tuple[str, ...]) -> None:
    wanted = ("-m", *tiny, "peft=lora", "peft.r=2,5")
    assert launch(*wanted, "plan=only").code == 0
    ended = launch(*wanted)
    assert [record["status"] for record in ended.records()] == ["completed"] * 2
    again = launch(*wanted, "plan=only")
    assert again.code == 0 and "2 done already, 0 to run" in again.out


def test_the_prediction_counts_what_the_run_trains(
    launch: Callable, tiny: tuple[str, ...], make_cell: Callable
) -> None:
    for method in ("none", "lora", "prompt_tuning"):
        (found,) = predict(make_plan([make_cell(*tiny, f"peft={method}")])).values()
        ended = launch(*tiny, f"peft={method}")
        training = ended.by("peft", "method")[method]["training"]
        assert found.trainable_parameters == training["trainable_parameters"]
        assert (found.tokens, found.computed) == (
            training["tokens"],
            training["unique_tokens"],
        ) or method == "prompt_tuning"
        assert not found.guessed


def test_cells_that_cannot_work_are_told_together_and_the_rest_is_planned(
    launch: Callable, tiny: tuple[str, ...]
) -> None:
    ended = launch("-m", *tiny, "peft=lora", "peft.r=0,4", "train.epochs=-1,1", "plan=only")
    assert ended.code == 1 and not ended.records()
    assert "3 of 4 cells can't work" in ended.err
    assert "peft.r=0 must be at least 1" in ended.err and "train.epochs=-1 must be above 0" in ended.err
    assert "1 to run" in ended.out and "Total: 1 to run" in ended.out


def test_nothing_runs_while_one_cell_cannot(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "peft=lora", "peft.r=0,4")
    assert ended.code == 1 and not ended.records()
    assert "In the cell peft.r=0" in ended.err or "peft.r=0: " in ended.err


def test_a_reason_is_told_once_however_many_cells_share_it() -> None:
    from persona_sweeps.planning.cells import Refused

    cells = [Refused((f"seed={seed}",), "too large") for seed in range(5)] + [Refused(("a=1",), "too small")]
    text = str(refusal(cells, 9))
    assert text.count("too large") == 1 and "seed=0 and 4 more" in text and "6 of 9 cells" in text
    assert "can't work" not in str(refusal(cells[:1], 9))


@pytest.mark.parametrize("name", ["llama2_7b", "gemma2_27b"])
def test_a_gated_model_without_a_token_is_told(make_cell: Callable, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    with pytest.raises(Exception, match="is gated and there is no token"):
        make_cell(f"model={name}")
    monkeypatch.setattr("huggingface_hub.get_token", lambda: "hf_something")
    assert make_cell(f"model={name}").config.model.gated
    assert make_cell(f"model={name}", "model.scale=tiny").config.model.gated


def test_a_model_that_is_not_here_is_told_when_the_hub_must_not_be_asked(
    make_cell: Callable, hub_offline: None
) -> None:
    with pytest.raises(Exception, match="HF_HUB_OFFLINE is set"):
        make_cell("model=qwen3_32b")


def test_weights_beyond_the_memory_are_told(make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_cell("model=gpt2", "model.scale=tiny", "train.max_length=512").config
    monkeypatch.setattr(obstacles, "total_memory_bytes", lambda device: 4_000_000_000)
    assert obstacles.too_large(config, 3_000_000_000) is None
    assert "takes 5.0 GB of weights alone" in str(obstacles.too_large(config, 5_000_000_000))


def test_weights_beyond_the_memory_may_fit_quantized(make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(obstacles, "total_memory_bytes", lambda device: 1)
    told = {
        chosen: str(obstacles.too_large(make_cell("model=gpt2", *SHORT, *chosen).config, 5))
        for chosen in [("quantization=int8",), ("quantization=nf4",), ("peft=full",)]
    }
    assert ["quantization=nf4" in sentence for sentence in told.values()] == [True, False, False]
    assert "gpt2 in int8 takes" in told[("quantization=int8",)]


def test_quantized_weights_take_less_and_more_is_needed_to_load_them(
    make_cell: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persona_sweeps.planning.cells.obstacles", lambda config: [])

    def predicted(kind: str, *more: str) -> Prediction:
        cells = [make_cell("model=llama2_7b", "train.precision=bf16", f"quantization={kind}", *more)]
        return predict(make_plan(cells)).popitem()[1]

    found = {kind: predicted(kind) for kind in ("none", "int8", "nf4", "fp4")}
    weights = {kind: prediction.weights_bytes / 1e9 for kind, prediction in found.items()}
    # Embeddings and head stay in bf16: 0.26e9 of 6.74e9 parameters.
    assert weights == pytest.approx({"none": 13.48, "int8": 7.01, "nf4": 3.87, "fp4": 3.87}, abs=0.01)
    assert predicted("nf4", "quantization.double_quant=false").weights_bytes > found["nf4"].weights_bytes
    assert found["nf4"].loading_bytes > found["none"].loading_bytes


def test_a_quantization_without_its_package_is_told(make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_cell("model=gpt2", *SHORT, "quantization=nf4").config
    assert not obstacles.obstacles(config)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    (sentence,) = obstacles.obstacles(config)
    assert "quantization=nf4 needs bitsandbytes" in sentence and "'persona-sweeps[quantization]'" in sentence
    assert not obstacles.obstacles(make_cell("model=gpt2", *SHORT).config)


def test_bf16_on_a_gpu_without_its_units_is_told(make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    config = make_cell("model=gpt2", "model.scale=tiny", "train.max_length=512", "train.precision=bf16").config
    monkeypatch.setattr(obstacles, "resolve_device", lambda device: "cuda")
    monkeypatch.setattr(obstacles, "cuda_capability", lambda: 7)
    assert "compute capability 8.0" in " ".join(obstacles.obstacles(config))
    monkeypatch.setattr(obstacles, "cuda_capability", lambda: None)
    assert "no CUDA device" in " ".join(obstacles.obstacles(config))


def test_prompt_tuning_of_a_7b_model_trains_a_prompt(make_cell: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    from persona_sweeps.models.skeleton import skeleton

    monkeypatch.setattr("persona_sweeps.planning.cells.obstacles", lambda config: [])
    config = make_cell("model=llama2_7b", "peft=prompt_tuning", "peft.num_virtual_tokens=20").config
    model = skeleton(config.model)
    assert config.peft.trainable_parameters(model) == 81_920
    (found,) = predict(make_plan([make_cell("model=llama2_7b", "train.precision=bf16")])).values()
    assert found.guessed and found.weights_bytes == 2 * 6_738_415_616 and found.tokens > 0


def test_more_of_anything_takes_more_memory(make_cell: Callable) -> None:
    from persona_sweeps.models.skeleton import skeleton

    card = make_cell("model=gpt2", "model.scale=tiny", "train.max_length=512").config.model
    shape = shape_of(skeleton(card), family_of(card))
    small = activation_bytes(shape, PassSize(100, 200, 5000), 2)
    for larger in (PassSize(101, 200, 5000), PassSize(100, 201, 5000), PassSize(100, 200, 5001)):
        assert activation_bytes(shape, larger, 2) > small
    assert activation_bytes(shape, PassSize(100, 200, 5000), 4) > small


def test_smaller_micro_batches_and_groups_need_less(make_cell: Callable, tiny: tuple[str, ...]) -> None:
    def needed(*overrides: str) -> int:
        return predict(make_plan([make_cell(*tiny, *overrides)])).popitem()[1].activation_bytes

    assert needed("train.micro_batch_size=1") < needed()
    assert needed("train.precision=bf16") < needed("train.precision=fp32")


def test_sizes_read_well() -> None:
    assert [size(n) for n in (12, 36_900, 19_500_000, 2_100_000_000)] == ["12 B", "36.9 kB", "19.5 MB", "2.1 GB"]
