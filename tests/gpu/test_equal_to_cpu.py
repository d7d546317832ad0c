"""What is trained, scored, generated, saved and resumed on a GPU is what it is on a CPU, or solo, or uninterrupted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel

from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.export import export_adapter
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.models.loss import label_nll, output_head
from persona_sweeps.prediction.decoding import Generation
from persona_sweeps.prediction.generation import generate, requests
from persona_sweeps.prediction.greedy import Greedy
from persona_sweeps.prediction.nucleus import Nucleus
from persona_sweeps.training import checkpoint
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.trial import Trial
from tests.gpu.conftest import DEVICE
from tests.toolbox import CARDS, LORA, METHODS, PREFIX, PROMPT, QUANTIZATIONS, TRAIN, adapter_of, trained_with
from tests.training.test_groups import MIXED, Plan, Result, assert_same, run

pytestmark = [pytest.mark.gpu, pytest.mark.long]  # on a CPU it compares the CPU with itself
TOLERANCE = 1e-4
LATER = 1e-2
"""of losses after several steps: AdamW's first steps have the size of the rate whatever the gradient's"""
SHORT = trained_with(max_steps=4, eval_every=2, learning_rate=1e-3)


@pytest.fixture
def load(compose_card: Callable[..., ModelConfig]) -> Callable[..., BaseModel]:
    def loaded(card: str, device: str = DEVICE, dtype: torch.dtype = torch.float32) -> BaseModel:
        return load_base(compose_card(card, "scale=tiny"), dtype, device)

    return loaded


@pytest.fixture
def llama(load: Callable[..., BaseModel]) -> BaseModel:
    return load("smollm2_135m_instruct")


def assert_alike(ours: Result, reference: Result, first: float = TOLERANCE, later: float = LATER) -> None:
    assert ours.trial.failure is None and reference.trial.failure is None
    for step, (mine, expected) in enumerate(zip(ours.logged, reference.logged, strict=True)):
        tolerance = first if step == 0 else later
        assert mine["train_nll"] == pytest.approx(expected["train_nll"], rel=tolerance), step
        assert mine["grad_norm"] == pytest.approx(expected["grad_norm"], rel=10 * tolerance), step
    assert ours.nll == pytest.approx(reference.nll, rel=later)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("card", CARDS)
def test_training_is_that_of_the_cpu(
    card: str, method: str, load: Callable[..., BaseModel], sequences: list[TokenSequence]
) -> None:
    plan = Plan(METHODS[method], SHORT, 0)
    (ours,), (reference,) = (run(load(card, device), [plan], sequences) for device in (DEVICE, "cpu"))
    assert_alike(ours, reference)


@pytest.mark.parametrize("card", ["gpt2", "gemma2_27b", "qwen3_32b"])
def test_a_trial_is_the_same_solo_and_among_others(
    card: str, load: Callable[..., BaseModel], sequences: list[TokenSequence]
) -> None:
    base = load(card)
    for ours, plan in zip(run(base, MIXED, sequences), MIXED, strict=True):
        (solo,) = run(base, [plan], sequences)
        assert_same(ours, solo)


def test_training_is_repeatable_to_the_bit(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    once, again = (run(llama, MIXED, sequences) for _ in range(2))
    for one, other in zip(once, again, strict=True):
        assert [v["train_nll"] for v in one.logged] == [v["train_nll"] for v in other.logged]
        assert all(map(torch.equal, one.trial.parameters, other.trial.parameters))


@pytest.mark.parametrize("method", ["lora", "dora", "pissa", "ia3"])
def test_replayed_passes_are_those_that_were_recorded(
    method: str, llama: BaseModel, sequences: list[TokenSequence]
) -> None:
    """Trials of different data, dropout and length, so that what a recording reads changes from step to step."""
    config = trained_with(max_steps=8, batch_size=2, learning_rate=1e-3)
    chosen = replace(METHODS[method], dropout=0.3) if hasattr(METHODS[method], "dropout") else METHODS[method]
    found: list[list[dict[str, float]]] = []
    for records in (True, False):
        adapters = [adapter_of(llama, chosen, seed) for seed in range(3)]
        with AdapterStack(llama.model, adapters) as stack:
            trials = [
                Trial(adapter, replace(config, max_steps=8 - seed), seed, sequences)
                for seed, adapter in enumerate(adapters)
            ]
            engine = Engine(llama.model, stack, trials, records=records)
            logged: list[dict[str, float]] = []
            engine.train(lambda index, values, into=logged: into.append({"index": index, **values}))  # type: ignore[misc]
            found.append(logged)
        assert all(trial.failure is None for trial in trials)
    for mine, expected in zip(*found, strict=True):
        for name in ("index", "train_nll", "grad_norm", "learning_rate"):
            assert mine[name] == pytest.approx(expected[name], rel=1e-3), name


def test_dropout_masks_are_those_of_the_cpu(load: Callable[..., BaseModel], sequences: list[TokenSequence]) -> None:
    plan = Plan(replace(LORA, dropout=0.4, r=8), replace(SHORT, max_grad_norm=0.05), 0)
    (ours,), (reference,) = (run(load("mistral_7b", device), [plan], sequences) for device in (DEVICE, "cpu"))
    assert_alike(ours, reference)


@pytest.mark.parametrize("card", ["smollm2_135m_instruct", "gemma2_27b", "gemma3_270m"])
def test_bf16_stays_near_fp32(card: str, load: Callable[..., BaseModel], sequences: list[TokenSequence]) -> None:
    plans = [Plan(LORA, SHORT, 0), Plan(PROMPT, SHORT, 1)]
    rounded = run(load(card, DEVICE, torch.bfloat16), plans, sequences)
    for ours, reference in zip(rounded, run(load(card, "cpu"), plans, sequences), strict=True):
        for mine, expected in zip(ours.logged, reference.logged, strict=True):
            assert mine["train_nll"] == pytest.approx(expected["train_nll"], rel=2e-2)


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_quantized_bases_train_as_on_the_cpu(
    name: str, compose_card: Callable[..., ModelConfig], sequences: list[TokenSequence]
) -> None:
    card = compose_card("llama31_8b", "scale=tiny")
    found = []
    for device in (DEVICE, "cpu"):
        base = load_base(card, torch.float32, device, QUANTIZATIONS[name])
        found.append(run(base, [Plan(LORA, SHORT, 0)], sequences)[0])
    # bitsandbytes multiplies int8 on a GPU in halves.
    assert_alike(*found, first=2e-2 if name == "int8" else 2e-3, later=5e-2)
    losses = [values["train_nll"] for values in found[0].logged]
    assert losses[-1] != losses[0]


@pytest.mark.parametrize("config", [Greedy("greedy", 10), Nucleus("nucleus", 10, temperature=0.8, top_p=0.9)], ids=str)
@pytest.mark.parametrize("card", ["mistral_7b", "gemma2_27b", "gpt2"])
def test_texts_are_those_of_the_cpu(
    card: str, config: Generation, load: Callable[..., BaseModel], sequences: list[TokenSequence]
) -> None:
    prompts = [sequence.tokens[: sequence.loss_from] for sequence in sequences]
    ids = [str(index) for index in range(len(prompts))]
    found = []
    for device in (DEVICE, "cpu"):
        base = load(card, device)
        adapters = [Adapter(), adapter_of(base, LORA, 1, spread=0.2), adapter_of(base, PREFIX, 2, spread=0.2)]
        with AdapterStack(base.model, adapters) as stack:
            engine = Engine(base.model, stack, [Trial(adapter, TRAIN, 0, []) for adapter in adapters])
            asked = [request for trial in range(3) for request in requests(trial, prompts, ids, 3)]
            found.append(generate(engine, asked, config, []))
    assert found[0] == found[1]


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "prompt_tuning", "prefix_tuning", "lora_prompt"])
def test_what_was_trained_here_answers_the_same_on_a_cpu(
    method: str, load: Callable[..., BaseModel], sequences: list[TokenSequence], tmp_path: Path
) -> None:
    base = load("qwen3_32b")
    (trained,) = run(base, [Plan(METHODS[method], SHORT, 0)], sequences)
    METHODS[method].save(trained.trial.adapter, base.model, base.tokenizer, "none", tmp_path)
    elsewhere = load("qwen3_32b", "cpu")
    adapter = METHODS[method].load(elsewhere.model, tmp_path)
    evaluation = [replace(s, index=i) for i, s in enumerate(sequences[7:])]
    with AdapterStack(elsewhere.model, [adapter]) as stack:
        engine = Engine(elsewhere.model, stack, [Trial(adapter, TRAIN, 0, [], evaluation)])
        answered = engine.evaluation_nll([0])[0].tolist()
    assert answered == pytest.approx(trained.nll, rel=TOLERANCE)


def test_peft_gives_the_same_probabilities_here(
    load: Callable[..., BaseModel], sequences: list[TokenSequence], tmp_path: Path
) -> None:
    base = load("gemma2_27b")
    (trained,) = run(base, [Plan(LORA, SHORT, 0)], sequences)
    export_adapter(trained.trial.adapter, base.model, "none", tmp_path / "adapter")
    model = PeftModel.from_pretrained(load("gemma2_27b").model, str(tmp_path / "adapter")).eval()
    assert trained.nll is not None
    for sequence, ours in zip(sequences[7:], trained.nll, strict=True):
        ids = torch.tensor([sequence.tokens], device=DEVICE)
        with torch.no_grad():
            hidden = model.get_base_model().get_decoder()(input_ids=ids).last_hidden_state[0]
        wanted = range(sequence.loss_from, len(sequence.tokens))
        before = torch.tensor([slot - 1 for slot in wanted], device=DEVICE)
        nll = label_nll(output_head(model.get_base_model()), hidden[before], ids[0, sequence.loss_from :])
        assert ours == pytest.approx(float(nll.sum()), rel=TOLERANCE)


@pytest.mark.parametrize("method", ["lora", "prefix_tuning"])
def test_resumed_is_uninterrupted(
    method: str, llama: BaseModel, sequences: list[TokenSequence], tmp_path: Path
) -> None:
    def trial() -> Trial:
        return Trial(adapter_of(llama, METHODS[method], spread=None), SHORT, 0, sequences[:7], sequences[:2])

    def train(chosen: Trial, steps: int) -> list[float]:
        with AdapterStack(llama.model, [chosen.adapter]) as stack:
            engine = Engine(llama.model, stack, [chosen])
            return [engine.step()[0]["train_nll"] for _ in range(steps)]

    whole, first, second = trial(), trial(), trial()
    expected = train(whole, 4)
    before = train(first, 2)
    checkpoint.save(first, tmp_path, "0123456789", {})
    found, messages = checkpoint.newest(tmp_path, "0123456789")
    assert found is not None and not messages
    checkpoint.restore(second, found)
    assert before + train(second, 2) == expected
    assert all(map(torch.equal, second.parameters, whole.parameters))
