"""A base model that is spread over devices trains, scores and speaks as it does on one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import pytest
import torch
from accelerate import dispatch_model
from transformers import PreTrainedModel

from persona_sweeps.config.predictor import Predictor
from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.models.loss import Head, label_nll, weighted_nll
from persona_sweeps.prediction.generation import generate, requests
from persona_sweeps.prediction.nucleus import Nucleus
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.trial import Trial
from tests.toolbox import CARDS, LORA, METHODS, NONE, PREFIX, PROMPT, QUANTIZATIONS, adapter_of, trained_with
from tests.training.pretended_devices import PRETENDED, pretended_devices

FIRST, SECOND = PRETENDED
TOWER = "tower"
NUCLEUS = Nucleus(method="nucleus", max_new_tokens=5, temperature=1.0, top_p=0.9)


@dataclass
class Outcome:
    """What came of some trials: weights as they are in the end, what was logged, NLLs and texts."""

    weights: list[torch.Tensor]
    logged: list[dict[str, float]]
    nll: list[list[float]]
    texts: list[list[int]]


def outcome(base: BaseModel, configs: Sequence[Predictor], sequences: Sequence[TokenSequence]) -> Outcome:
    evaluation = [replace(s, index=i) for i, s in enumerate(sequences[7:])]
    train = trained_with(max_steps=2, micro_batch_size=3)
    trials = [
        Trial(adapter_of(base, peft, seed, spread=None), train, seed, sequences[:7], evaluation)
        for seed, peft in enumerate(configs)
    ]
    logged: list[dict[str, float]] = []
    with AdapterStack(base.model, [trial.adapter for trial in trials]) as stack:
        engine = Engine(base.model, stack, trials)
        engine.train(lambda index, values: logged.append({**values, "seconds": 0.0}))
        nll = engine.evaluation_nll(range(len(trials)))
        prompts = [s.tokens[: s.loss_from] for s in evaluation]
        asked = [r for trial in range(len(trials)) for r in requests(trial, prompts, ["a", "b", "c"], 1)]
        texts = generate(engine, asked, NUCLEUS, [])
        texts += generate(engine, asked, NUCLEUS, [texts[0][1], texts[1][0]])  # some end before the others
    weights = [parameter.detach().cpu() for trial in trials for parameter in trial.parameters]
    return Outcome(weights, logged, [nll[index].tolist() for index in range(len(trials))], texts)


def spread(model: PreTrainedModel, embeddings: torch.device = FIRST) -> None:
    """Divide a model as from_pretrained does: the first layer on one device, all that comes after it on the other."""
    paths = {module: name for name, module in model.named_modules()}
    decoder, head, inputs = model.get_decoder(), model.get_output_embeddings(), model.get_input_embeddings()
    (blocks,) = (child for child in decoder.children() if isinstance(child, torch.nn.ModuleList))
    placed = {paths[child]: SECOND for child in model.children() if child not in (decoder, head)}
    for child in decoder.children():
        if child is not blocks:
            placed[paths[child]] = embeddings if isinstance(child, torch.nn.Embedding) else SECOND
    placed |= {paths[block]: SECOND if index else FIRST for index, block in enumerate(blocks)}
    placed[paths[head]] = embeddings if head.weight is inputs.weight else SECOND
    if TOWER in placed:
        placed[TOWER] = FIRST
    for name, device in placed.items():
        model.get_submodule(name).to(device)
    dispatch_model(model, placed, main_device=FIRST, skip_keys=model._skip_keys_device_placement)


def check(
    base: Callable[[], BaseModel],
    configs: Sequence[Predictor],
    sequences: Sequence[TokenSequence],
    embeddings: torch.device = FIRST,
) -> None:
    expected, apart = outcome(base(), configs, sequences), base()
    with pretended_devices() as counts:
        spread(apart.model, embeddings)
        assert apart.model.device == FIRST
        assert {parameter.device for parameter in apart.model.parameters()} == {FIRST, SECOND}
        found = outcome(apart, configs, sequences)
        assert all(counts.values())
    assert found.logged == expected.logged and found.nll == expected.nll and found.texts == expected.texts
    assert any(len(text) < NUCLEUS.max_new_tokens for text in found.texts)
    for ours, reference in zip(found.weights, expected.weights, strict=True):
        assert torch.equal(ours, reference)


@pytest.mark.parametrize("card", CARDS)
def test_every_family_is_itself_when_spread(
    card: str, compose_card: Callable[..., ModelConfig], sequences: list[TokenSequence]
) -> None:
    configs = [NONE, replace(LORA, dropout=0.3), PREFIX, PROMPT]
    check(lambda: load_base(compose_card(card, "scale=tiny"), torch.float32, "cpu"), configs, sequences)


@pytest.mark.parametrize("method", [name for name in METHODS if name not in ("lora", "prompt_tuning", "prefix_tuning")])
def test_every_method_is_itself_when_spread(
    method: str, compose_card: Callable[..., ModelConfig], sequences: list[TokenSequence]
) -> None:
    card = compose_card("qwen25_14b", "scale=tiny")
    configs = [METHODS[method]] if method == "full" else [METHODS[method], replace(LORA, dropout=0.3)]
    check(lambda: load_base(card, torch.float32, "cpu"), configs, sequences)


def test_four_bit_layers_are_themselves_when_spread(
    compose_card: Callable[..., ModelConfig], sequences: list[TokenSequence]
) -> None:
    card = compose_card("smollm2_135m_instruct", "scale=tiny")
    configs = [replace(LORA, dropout=0.3), METHODS["dora"], METHODS["ia3"], PREFIX]
    check(lambda: load_base(card, torch.float32, "cpu", QUANTIZATIONS["nf4"]), configs, sequences)


def test_embeddings_may_lie_elsewhere_than_what_a_model_has_before_them(
    compose_card: Callable[..., ModelConfig], sequences: list[TokenSequence]
) -> None:
    """As those of a multimodal model may, whose vision tower comes first."""

    def with_tower() -> BaseModel:
        base = load_base(compose_card("gemma3_270m", "scale=tiny"), torch.float32, "cpu")
        modules = dict(base.model._modules)
        base.model._modules.clear()
        base.model.add_module(TOWER, torch.nn.Linear(2, 2).requires_grad_(False))
        base.model._modules.update(modules)
        return base

    check(with_tower, [replace(LORA, dropout=0.3), PREFIX, PROMPT, METHODS["p_tuning"]], sequences, embeddings=SECOND)


def test_losses_come_back_to_the_device_of_the_labels() -> None:
    generator = torch.Generator().manual_seed(0)
    hidden, weight = torch.randn(40, 8, generator=generator), torch.randn(100, 8, generator=generator)
    targets, shares = torch.arange(40), torch.rand(40, generator=generator)

    def losses(device: torch.device, of_head: torch.device) -> list[torch.Tensor]:
        states = hidden.to(device).detach().requires_grad_()
        head = Head(weight.to(of_head), None, None)
        total, nll = weighted_nll(head, states, targets.to(device), shares.to(device))
        total.backward()
        assert states.grad is not None
        return [total, nll, states.grad, label_nll(head, states, targets.to(device))]

    expected = losses(torch.device("cpu"), torch.device("cpu"))
    with pretended_devices():
        found = losses(FIRST, SECOND)
        assert {tensor.device for tensor in found} == {FIRST}
        assert all(torch.equal(ours.cpu(), reference) for ours, reference in zip(found, expected, strict=True))
