"""Generating for many trials and prompts at once gives what each gives alone."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from persona_sweeps.adapters.stack import AdapterStack
from persona_sweeps.config import GenerationConfig, NucleusConfig
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.evaluation.generation import generate, requests
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.trial import Trial
from tests.engine.toolbox import LORA, NONE, PROMPT, TRAIN, adapter_of

GREEDY = GenerationConfig(method="greedy", max_new_tokens=12)
NUCLEUS = NucleusConfig(method="nucleus", max_new_tokens=12, temperature=1.0, top_p=0.9)


def asked_of(trials: int, prompts: list[tuple[int, ...]], seed: int = 3) -> list:
    ids = [str(index) for index in range(len(prompts))]
    return [request for trial in range(trials) for request in requests(trial, prompts, ids, seed)]


def prompts_of(sequences: list[TokenSequence]) -> list[tuple[int, ...]]:
    return [sequence.tokens[: sequence.loss_from] for sequence in sequences[:5]]


def engine_of(base: BaseModel, stack: AdapterStack) -> Engine:
    return Engine(base.model, stack, [Trial(adapter, TRAIN, 0, []) for adapter in stack.adapters])


@pytest.mark.parametrize("config", [GREEDY, NUCLEUS], ids=["greedy", "nucleus"])
def test_batched_equals_one_at_a_time(
    base: BaseModel, sequences: list[TokenSequence], config: GenerationConfig
) -> None:
    adapters = [adapter_of(base, peft, seed, spread=0.2) for seed, peft in enumerate((NONE, LORA, PROMPT))]
    asked = asked_of(3, prompts_of(sequences))
    with AdapterStack(base.model, adapters) as stack:
        engine = engine_of(base, stack)
        together = generate(engine, asked, config, [])
        stop = [together[0][4], together[7][6]]  # tokens that some texts have and others don't
        stopped = generate(engine, asked, config, stop)
        alone = [generate(engine, [request], config, stop)[0] for request in asked]
    assert all(len(text) == config.max_new_tokens for text in together)
    assert stopped == alone
    assert any(len(text) < config.max_new_tokens for text in stopped)
    for text, whole in zip(stopped, together, strict=True):
        assert whole[: len(text)] == text and not set(text) & set(stop)


def test_greedy_base_equals_transformers(
    base: BaseModel, sequences: list[TokenSequence], compose_card, request
) -> None:
    untouched = load_base(compose_card(request.node.callspec.params["base"], "scale=tiny"), torch.float32, "cpu").model
    prompts = prompts_of(sequences)
    with AdapterStack(base.model, [adapter_of(base, NONE)]) as stack:
        ours = generate(engine_of(base, stack), asked_of(1, prompts), GREEDY, [])
    for prompt, text in zip(prompts, ours, strict=True):
        ids = torch.tensor([prompt])
        theirs = untouched.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            do_sample=False,
            max_new_tokens=12,
            eos_token_id=-1,
            pad_token_id=0,
        )
        assert theirs[0, len(prompt) :].tolist() == text


def test_sampling_hangs_on_the_seed_alone(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    prompts = prompts_of(sequences)
    with AdapterStack(llama.model, [adapter_of(llama, LORA)]) as stack:
        engine = engine_of(llama, stack)
        once, again = (generate(engine, asked_of(1, prompts), NUCLEUS, []) for _ in range(2))
        other = generate(engine, asked_of(1, prompts, seed=4), NUCLEUS, [])
        greedy = generate(engine, asked_of(1, prompts), GREEDY, [])
        narrow = generate(engine, asked_of(1, prompts), replace(NUCLEUS, top_p=1e-6), [])
    assert once == again != other
    assert narrow == greedy
