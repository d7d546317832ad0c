"""What runs will take, predicted before anything is loaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from persona_sweeps.models.activations import PassSize, activation_bytes, shape_of
from persona_sweeps.models.families import family_of
from persona_sweeps.planning.plan import make_plan
from persona_sweeps.planning.preflight import Prediction, predict
from persona_sweeps.wording import size


def test_what_is_planned_is_what_is_run(launch: Callable, tiny: tuple[str, ...]) -> None:
    wanted = ("-m", *tiny, "peft=lora", "peft.r=2,5")
    assert launch(*wanted, "plan=only").code == 0
    ended = launch(*wanted)
    assert [record["status"] for record in ended.records()] == ["completed"] * 2
    again = launch(*wanted, "plan=only")
    assert again.code == 0 and "2 done already, 0 to run" in again.out


@pytest.mark.parametrize("method", ["none", "lora", "prompt_tuning"])
def test_the_prediction_counts_what_the_run_trains(
    launch: Callable, tiny: tuple[str, ...], make_cell: Callable, method: str
) -> None:
    (prediction,) = predict(make_plan([make_cell(*tiny, f"peft={method}")])).values()
    training = launch(*tiny, f"peft={method}").by("peft", "method")[method]["training"]
    assert prediction.trainable_parameters == training["trainable_parameters"]
    counted = training["tokens"], training["unique_tokens"]
    assert (prediction.tokens, prediction.computed) == counted or method == "prompt_tuning"
    assert not prediction.guessed


def test_a_run_is_predicted_with_the_longest_texts_of_its_evaluations(
    make_cell: Callable, tiny: tuple[str, ...]
) -> None:
    cells = [make_cell(*tiny, f"generation.max_new_tokens={count}") for count in (6, 60)]
    assert cells[0].run_id == cells[1].run_id
    (both,) = predict(make_plan(cells)).values()
    (longer,) = predict(make_plan(cells[1:])).values()
    (shorter,) = predict(make_plan(cells[:1])).values()
    assert replace(both, work=longer.work) == longer and both.cache_bytes > shorter.cache_bytes
    flops = [of.work.generating_flops for of in (both, longer, shorter)]
    assert flops[0] == flops[1] + flops[2], "each has texts of its own"


def test_quantized_weights_take_less_and_more_is_needed_to_load_them(make_cell: Callable) -> None:
    def predicted(kind: str, *more: str) -> Prediction:
        cells = [make_cell("model=llama2_7b", "train.precision=bf16", f"quantization={kind}", *more)]
        return predict(make_plan(cells)).popitem()[1]

    predictions = {kind: predicted(kind) for kind in ("none", "int8", "nf4", "fp4")}
    weights = {kind: prediction.weights_bytes / 1e9 for kind, prediction in predictions.items()}
    # Embeddings and head stay in bf16: 0.26e9 of 6.74e9 parameters.
    assert weights == pytest.approx({"none": 13.48, "int8": 7.01, "nf4": 3.87, "fp4": 3.87}, abs=0.01)
    assert predicted("nf4", "quantization.double_quant=false").weights_bytes > predictions["nf4"].weights_bytes
    assert predictions["nf4"].loading_bytes > predictions["none"].loading_bytes


def test_prompt_tuning_of_a_7b_model_trains_a_prompt(make_cell: Callable) -> None:
    prompt = make_cell("model=llama2_7b", "peft=prompt_tuning", "peft.num_virtual_tokens=20")
    assert predict(make_plan([prompt]))[prompt.run_id].trainable_parameters == 81_920
    (prediction,) = predict(make_plan([make_cell("model=llama2_7b", "train.precision=bf16")])).values()
    assert prediction.guessed and prediction.weights_bytes == 2 * 6_738_415_616 and prediction.tokens > 0


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
