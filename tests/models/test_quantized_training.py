"""Trials on a quantized base: they learn, whatever was evaluated between, and have the same result in any company."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from persona_sweeps.config.predictor import Predictor
from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.prediction.generation import generate, requests
from persona_sweeps.prediction.greedy import Greedy
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.trial import Trial
from tests.toolbox import LORA, METHODS, NONE, PROMPT, QUANTIZATIONS, adapter_of, sequences, trained_with

pytest.importorskip("bitsandbytes")
__all__ = ["sequences"]

KINDS = list(QUANTIZATIONS)
LEARNED = {"lora": (LORA, 1e-2), "prompt_tuning": (PROMPT, 5e-2)}
OF_ROUNDING = {"int8": 2e-2, "nf4": 1e-4, "fp4": 1e-4}
"""relative difference of an NLL: int8 rounds inputs, and what lies between two codes falls to either side"""
Logged = list[dict[str, float]]


@pytest.fixture
def quantized(compose_card: Callable[..., ModelConfig]) -> Callable[..., BaseModel]:
    return lambda kind, card="smollm2_135m_instruct": load_base(
        compose_card(card, "scale=tiny"), torch.float32, "cpu", QUANTIZATIONS[kind]
    )


def trained(base: BaseModel, trials: Sequence[Trial]) -> tuple[list[Logged], dict[int, np.ndarray]]:
    """Train and then score; return what each trial logged, and its sequences' NLL."""
    logged: list[Logged] = [[] for _ in trials]
    with AdapterStack(base.model, [trial.adapter for trial in trials]) as stack:
        engine = Engine(base.model, stack, trials)
        engine.train(lambda index, values: logged[index].append(dict(values)))
        assert not any(trial.failure for trial in trials)
        return logged, engine.evaluation_nll(range(len(trials)))


def trial_of(base: BaseModel, peft: Predictor, chosen: Sequence[TokenSequence], seed: int = 0, **train: Any) -> Trial:
    own = [replace(s, index=index) for index, s in enumerate(chosen)]
    adapter = adapter_of(base, peft, seed, spread=None)
    return Trial(adapter, trained_with(**train), seed, own[:7], [replace(s, index=i) for i, s in enumerate(own[7:])])


@pytest.mark.parametrize("method", LEARNED)
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_goes_on_falling_after_evaluations(
    kind: str, method: str, quantized: Callable[..., BaseModel], sequences: list[TokenSequence]
) -> None:
    base, (peft, rate) = quantized(kind), LEARNED[method]
    train = {"max_steps": 12, "batch_size": 7, "learning_rate": rate, "scheduler": "constant", "warmup_ratio": 0.0}
    ((logged,), _) = trained(base, [trial_of(base, peft, sequences, eval_every=3, **train)])
    assert sum("eval_nll" in values for values in logged) >= 4
    after_each = [values["train_nll"] for values in logged[::3]]  # the steps that follow an evaluation, and the first
    assert all(later < 0.999 * earlier for earlier, later in zip(after_each, after_each[1:], strict=False))
    assert not any(parameter.grad is not None for parameter in base.model.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_trials_have_the_same_result_alone_and_in_company(
    kind: str, quantized: Callable[..., BaseModel], sequences: list[TokenSequence]
) -> None:
    base = quantized(kind)
    plans = [(NONE, 3), (LORA, 0), (PROMPT, 1), (replace(LORA, r=8, dropout=0.4), 2), (METHODS["dora"], 5)]

    def fresh() -> Iterator[Trial]:
        return (trial_of(base, peft, sequences, seed, max_steps=3) for peft, seed in plans)

    logged, scores = trained(base, list(fresh()))
    for index, trial in enumerate(fresh()):
        (own,), own_scores = trained(base, [trial])
        assert [values["train_nll"] for values in logged[index]] == pytest.approx(
            [values["train_nll"] for values in own], rel=OF_ROUNDING[kind]
        )
        assert scores[index] == pytest.approx(own_scores[0], rel=OF_ROUNDING[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("card", ["smollm2_135m_instruct", "gpt2", "gemma2_27b"])
def test_packed_sequences_have_the_likelihood_that_transformers_gives_them(
    kind: str, card: str, quantized: Callable[..., BaseModel], sequences: list[TokenSequence]
) -> None:
    base = quantized(kind, card)
    expected = []
    with torch.no_grad():
        for s in sequences[7:]:
            logits = base.model(torch.tensor([s.tokens])).logits[0, s.loss_from - 1 : -1]
            expected.append(float(F.cross_entropy(logits, torch.tensor(s.tokens[s.loss_from :]), reduction="sum")))
    _, scores = trained(base, [trial_of(base, NONE, sequences)])
    assert scores[0] == pytest.approx(expected, rel=OF_ROUNDING[kind])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("lora", "prompt_tuning", "full")])
def test_every_other_method_learns_too(
    kind: str, method: str, quantized: Callable[..., BaseModel], sequences: list[TokenSequence]
) -> None:
    base = quantized(kind)
    trial = trial_of(base, METHODS[method], sequences, max_steps=4, batch_size=7, eval_every=1, warmup_ratio=0.0)
    ((logged,), _) = trained(base, [trial])
    assert logged[-1]["train_nll"] < logged[0]["train_nll"]


@pytest.mark.parametrize("kind", KINDS)
def test_texts_are_those_of_transformers(kind: str, quantized: Callable[..., BaseModel]) -> None:
    """At each step the likeliest token, but for int8 where rounding may choose between two that are as likely."""
    base, reference = quantized(kind), quantized(kind).model
    prompts = [tuple(range(300, 330)), tuple(range(400, 410))]
    with AdapterStack(base.model, [adapter_of(base, NONE)]) as stack:
        engine = Engine(base.model, stack, [Trial(stack.adapters[0], trained_with(), 0, [])])
        asked = requests(0, prompts, ["0", "1"], 0)
        texts = generate(engine, asked, Greedy(method="greedy", max_new_tokens=8), [])
    for prompt, text in zip(prompts, texts, strict=True):
        assert len(text) == 8
        with torch.no_grad():
            logits = reference(torch.tensor([[*prompt, *text]])).logits[0, len(prompt) - 1 : -1]
        chosen = logits.gather(1, torch.tensor(text)[:, None])[:, 0]
        assert (logits.max(1).values - chosen).max() <= OF_ROUNDING[kind] * logits.std()


def test_a_sweep_over_quantizations_records_what_each_takes(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "quantization=none,int8,nf4", "peft=lora", "train.max_steps=1")
    assert ended.code == 0, ended.err
    records = ended.by("quantization", "method")
    assert {record["status"] for record in records.values()} == {"completed"}
    weights = [records[kind]["resources"]["weights_bytes"] for kind in ("none", "int8", "nf4")]
    assert weights == sorted(weights, reverse=True) and len(set(weights)) == 3
    assert len({record["comparability_key"] for record in records.values()}) == 1
    assert records["nf4"]["config"]["quantization"] == {"method": "nf4", "double_quant": True}
    assert records["nf4"]["provenance"]["packages"]["bitsandbytes"]
    assert not any("kernels" in text or "MatMul8bitLt" in text for text in (ended.out, ended.err))
