"""Packed = padded = Hugging Face; stacked = solo; micro-batched = whole; exported = ours. In fp32, within 1e-4."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch.nn import functional as F
from transformers import get_scheduler

from persona_sweeps.adapters.export import export_adapter
from persona_sweeps.adapters.lora import target_paths
from persona_sweeps.adapters.stack import AdapterStack
from persona_sweeps.adapters.weights import Adapter
from persona_sweeps.config import PeftConfig, TrainConfig
from persona_sweeps.data.packing import TokenSequence, pack
from persona_sweeps.errors import ConfigError
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.training.batch import collate
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.forward import GroupForward
from persona_sweeps.training.order import batches
from persona_sweeps.training.trial import Trial, with_virtual_tokens
from tests.engine.toolbox import LORA, NONE, PROMPT, adapter_of, relative_error, trained_with

TOLERANCE = 1e-4
METHODS = pytest.mark.parametrize("config", [LORA, PROMPT], ids=["lora", "prompt_tuning"])


def loss_and_gradients(base: BaseModel, adapter: Adapter, rows: list) -> tuple[float, list[torch.Tensor]]:
    with AdapterStack(base.model, [adapter]) as stack:
        forward = GroupForward(base.model, stack)
        batch = collate([(0, row) for row in rows], "cpu")
        weights = torch.full((len(batch.label_tokens),), 1 / len(batch.label_tokens))
        loss, _ = forward.loss(batch, weights)
        loss.backward()
        stack.bind_gradients()
        gradients = [parameter.grad.clone() for parameter in adapter.parameters() if parameter.grad is not None]
        for parameter in adapter.parameters():
            parameter.grad = None
    return float(loss.detach()), gradients


def shifted(sequences: list[TokenSequence], adapter: Adapter) -> list[TokenSequence]:
    return [with_virtual_tokens(sequence, adapter.virtual_tokens) for sequence in sequences]


def reference_loss(base: BaseModel, folder: Path, sequences: list[TokenSequence]) -> torch.Tensor:
    """The same loss by transformers and PEFT alone: one sequence at a time, whole logits."""
    model = PeftModel.from_pretrained(base.model, str(folder), is_trainable=False)
    nll = []
    for sequence in sequences:
        ids = torch.tensor([sequence.tokens])
        logits = model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, -ids.shape[1] :]
        own = F.cross_entropy(logits[:-1].float(), ids[0, 1:], reduction="none")
        nll.append(own[sequence.loss_from - 1 :])
    return torch.cat(nll).mean()


@METHODS
def test_packed_equals_padded_in_loss_and_every_gradient(
    base: BaseModel, sequences: list[TokenSequence], config: PeftConfig
) -> None:
    adapter = adapter_of(base, config)
    own = shifted(sequences, adapter)
    packed_rows = pack(own, 10_000)
    assert len(packed_rows) == 1 and len(packed_rows[0]) < sum(len(s.tokens) for s in own) / 2
    packed = loss_and_gradients(base, adapter, packed_rows)
    padded = loss_and_gradients(base, adapter, [pack([sequence], 10_000)[0] for sequence in own])
    assert packed[0] == pytest.approx(padded[0], rel=TOLERANCE)
    assert len(packed[1]) == len(list(adapter.parameters()))
    for ours, reference in zip(packed[1], padded[1], strict=True):
        assert relative_error(ours, reference) < TOLERANCE


@METHODS
def test_exported_adapter_gives_our_loss_in_peft(
    base: BaseModel, sequences: list[TokenSequence], config: PeftConfig, tmp_path: Path, compose_card, request
) -> None:
    adapter = adapter_of(base, config)
    ours, _ = loss_and_gradients(base, adapter, pack(shifted(sequences, adapter), 10_000))
    export_adapter(adapter, base.model, "none", tmp_path / "adapter")
    untouched = load_base(compose_card(request.node.callspec.params["base"], "scale=tiny"), torch.float32, "cpu")
    with torch.no_grad():
        assert ours == pytest.approx(float(reference_loss(untouched, tmp_path / "adapter", sequences)), rel=TOLERANCE)


def run(base: BaseModel, makers: list[tuple[PeftConfig, TrainConfig, int]], sequences: list[TokenSequence], **engine):
    """Train these trials together; return for each its weights, its logged losses, and its failure."""
    adapters = [adapter_of(base, peft, seed, spread=None) for peft, _, seed in makers]
    trials = [
        Trial(adapter, train, seed, sequences[:8], sequences[8:])
        for adapter, (_, train, seed) in zip(adapters, makers, strict=True)
    ]
    losses: dict[int, list[float]] = {index: [] for index in range(len(makers))}
    with AdapterStack(base.model, adapters) as stack:
        trainer = Engine(base.model, stack, trials, **engine)
        trainer.train(lambda index, values: losses[index].append(values["train_nll"]))
        sound = [index for index, trial in enumerate(trials) if trial.failure is None]
        scores = trainer.evaluation_nll(sound)
    return [
        ([p.detach().clone() for p in adapter.parameters()], losses[i], trials[i].failure, scores.get(i))
        for i, adapter in enumerate(adapters)
    ]


MIXED = [
    (LORA, trained_with(max_steps=5), 0),
    (replace(LORA, r=7, alpha=3.0, dropout=0.3), trained_with(max_steps=3, learning_rate=3e-3, batch_size=2), 1),
    (PROMPT, trained_with(max_steps=4, learning_rate=5e-2), 2),
    (NONE, trained_with(), 3),
    (replace(LORA, target_modules=["q_proj", "v_proj"]), trained_with(max_steps=5, scheduler="linear"), 4),
]


def test_stacked_equals_solo_whatever_the_company(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    together = run(llama, MIXED, sequences)
    for ours, maker in zip(together, MIXED, strict=True):
        (alone,) = run(llama, [maker], sequences)
        assert ours[1] == pytest.approx(alone[1], rel=TOLERANCE)
        assert ours[3] == pytest.approx(alone[3], rel=TOLERANCE)
        for mine, reference in zip(ours[0], alone[0], strict=True):
            assert relative_error(mine, reference) < TOLERANCE


def test_a_trial_that_diverges_fails_alone(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    diverging = (LORA, trained_with(max_steps=5, learning_rate=1e30, max_grad_norm=None, warmup_ratio=0.0), 9)
    sound, broken = run(llama, [MIXED[0], diverging], sequences)
    (alone,) = run(llama, [MIXED[0]], sequences)
    assert "finite" in str(broken[2]) and "train.learning_rate" in str(broken[2])
    assert sound[2] is None and sound[1] == pytest.approx(alone[1], rel=TOLERANCE)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("changes", [{"micro_batch_size": 1}, {"micro_batch_size": 3}, {"pass_nodes": 64}], ids=str)
def test_micro_batches_and_small_passes_change_nothing(
    llama: BaseModel, sequences: list[TokenSequence], dropout: float, changes: dict[str, int]
) -> None:
    peft = replace(LORA, dropout=dropout)
    makers = [(peft, trained_with(max_steps=4), 0), (PROMPT, trained_with(max_steps=4), 1)]
    whole = run(llama, makers, sequences)
    engine = {key: value for key, value in changes.items() if key == "pass_nodes"}
    micro = {key: value for key, value in changes.items() if key != "pass_nodes"}
    divided = run(llama, [(p, replace(t, **micro), s) for p, t, s in makers], sequences, **engine)
    for ours, reference in zip(divided, whole, strict=True):
        assert ours[1] == pytest.approx(reference[1], rel=TOLERANCE)
        for mine, expected in zip(ours[0], reference[0], strict=True):
            assert relative_error(mine, expected) < TOLERANCE


def test_a_solo_trial_equals_a_plain_torch_loop(
    llama: BaseModel, sequences: list[TokenSequence], tmp_path: Path, compose_card
) -> None:
    """The reference: PEFT's modules, padded batches, torch's AdamW and transformers' schedule."""
    config = trained_with(max_steps=5)
    start = adapter_of(llama, LORA, 0, spread=None)
    export_adapter(start, llama.model, "none", tmp_path / "start")
    ((weights, losses, _, _),) = run(llama, [(LORA, config, 0)], sequences)

    reference = load_base(compose_card("smollm2_135m_instruct", "scale=tiny"), torch.float32, "cpu")
    model = PeftModel.from_pretrained(reference.model, str(tmp_path / "start"), is_trainable=True)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.01)
    schedule = get_scheduler("cosine", optimizer, 1, 5)
    order = batches(8, config.batch_size, 0)
    for step in range(5):
        nll = []
        for index in next(order):
            ids = torch.tensor([sequences[index].tokens])
            logits = model(input_ids=ids).logits[0, :-1]
            nll.append(F.cross_entropy(logits, ids[0, 1:], reduction="none")[sequences[index].loss_from - 1 :])
        loss = torch.cat(nll).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        assert losses[step] == pytest.approx(float(loss.detach()), rel=TOLERANCE)
    theirs = {name: p.detach() for name, p in model.named_parameters() if p.requires_grad}
    assert start.lora is not None
    for path, ours_a, ours_b in zip(start.lora.pairs, weights[::2], weights[1::2], strict=True):
        prefix = f"base_model.model.{path}"
        assert relative_error(ours_a, theirs[f"{prefix}.lora_A.default.weight"]) < 1e-3
        assert relative_error(ours_b, theirs[f"{prefix}.lora_B.default.weight"].T) < 1e-3


def test_target_modules_by_list_pattern_and_all(llama: BaseModel) -> None:
    model = llama.model
    every = target_paths(model, "all-linear")
    assert "lm_head" not in every
    assert target_paths(model, ["q_proj"]) == [path for path in every if path.endswith(".q_proj")]
    assert target_paths(model, r".*\.0\.mlp\.(up|down)_proj") == [
        p for p in every if ".0.mlp." in p and not p.endswith("gate_proj")
    ]


@pytest.mark.parametrize("targets", [["q_prj"], "nothing", []])
def test_targets_that_match_nothing_name_the_layers(llama: BaseModel, targets: list[str] | str) -> None:
    with pytest.raises(ConfigError, match="q_proj"):
        target_paths(llama.model, targets)
