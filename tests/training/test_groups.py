"""A trial logs, learns and fails among others as it does solo, and however its batches are divided."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch.nn import functional as F
from transformers import get_scheduler

from persona_sweeps.config.predictor import Predictor
from persona_sweeps.config.schema import ModelConfig, TrainConfig
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.export import export_adapter
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.limits import Limits
from persona_sweeps.training.order import batches
from persona_sweeps.training.trial import Trial
from tests.toolbox import LORA, METHODS, NONE, PROMPT, STACKED, adapter_of, relative_error, trained_with

TOLERANCE = 1e-4


@dataclass
class Plan:
    """A trial to be made: what it trains, how, from which seed, and on which of the sequences."""

    peft: Predictor
    train: TrainConfig
    seed: int
    examples: tuple[int, int] = (0, 7)


@dataclass
class Result:
    trial: Trial
    logged: list[dict[str, float]] = field(default_factory=list)
    nll: list[float] | None = None


def run(
    base: BaseModel, plans: Sequence[Plan], sequences: Sequence[TokenSequence], limits: Limits | None = None
) -> list[Result]:
    """Train these together from scratch, then score the sound ones on the last sequences."""
    evaluation = [replace(s, index=i) for i, s in enumerate(sequences[7:])]
    results = []
    for plan in plans:
        chosen = [replace(s, index=i) for i, s in enumerate(sequences[slice(*plan.examples)])]
        adapter = adapter_of(base, plan.peft, plan.seed, spread=None)
        results.append(Result(Trial(adapter, plan.train, plan.seed, chosen, evaluation)))
    trials = [result.trial for result in results]
    with AdapterStack(base.model, [trial.adapter for trial in trials]) as stack:
        engine = Engine(base.model, stack, trials, limits)
        engine.train(lambda index, values: results[index].logged.append(dict(values)))
        scores = engine.evaluation_nll([i for i, trial in enumerate(trials) if trial.failure is None])
    for index, values in scores.items():
        results[index].nll = values.tolist()
    return results


def small_passes(token_slots: int) -> Limits:
    limits = Limits()
    limits.training.token_slots = limits.scoring.token_slots = token_slots
    return limits


def assert_same(ours: Result, reference: Result) -> None:
    assert len(ours.logged) == len(reference.logged) == ours.trial.total_steps
    for mine, expected in zip(ours.logged, reference.logged, strict=True):
        assert mine.keys() == expected.keys()
        for name in mine.keys() - {"seconds"}:
            assert mine[name] == pytest.approx(expected[name], rel=TOLERANCE), name
    assert ours.nll == pytest.approx(reference.nll, rel=TOLERANCE)
    for one, other in zip(ours.trial.parameters, reference.trial.parameters, strict=True):
        assert relative_error(one.detach(), other.detach()) < TOLERANCE


MIXED = [
    Plan(NONE, trained_with(), 3),
    Plan(replace(LORA, r=1, alpha=2.0, dropout=0.2), trained_with(max_steps=2, batch_size=5), 0, (2, 5)),
    Plan(PROMPT, trained_with(epochs=1.5, batch_size=3, learning_rate=5e-2, scheduler="linear"), 1),
    Plan(replace(PROMPT, num_virtual_tokens=9), trained_with(max_steps=4, eval_every=3, warmup_ratio=0.0), 1),
    Plan(replace(LORA, r=8, dropout=0.5), trained_with(max_steps=6, micro_batch_size=1, max_grad_norm=0.05), 0),
    Plan(LORA, trained_with(max_steps=5, batch_size=1, eval_every=2, scheduler="constant", weight_decay=0.3), 7),
]


@pytest.mark.parametrize("card", ["gpt2", "gemma2_27b", "qwen3_32b"])
def test_everything_a_trial_logs_and_learns_is_the_same_solo(
    card: str, compose_card: Callable[..., ModelConfig], sequences: list[TokenSequence]
) -> None:
    base = load_base(compose_card(card, "scale=tiny"), torch.float32, "cpu")
    targets = ["c_attn", "c_proj"] if card == "gpt2" else ["q_proj", "down_proj"]
    plans = [*MIXED, Plan(replace(LORA, r=2, target_modules=targets, dropout=0.3), trained_with(max_steps=3), 5)]
    for ours, plan in zip(run(base, plans, sequences), plans, strict=True):
        (solo,) = run(base, [plan], sequences)
        assert_same(ours, solo)
    backwards = run(base, plans[::-1], sequences, small_passes(200))[::-1]
    for ours, reference in zip(backwards, run(base, plans, sequences), strict=True):
        assert_same(ours, reference)


@pytest.mark.parametrize("card", ["gpt2", "gemma3_270m"])
def test_every_method_learns_the_same_beside_all_others(
    card: str, compose_card: Callable[..., ModelConfig], sequences: list[TokenSequence]
) -> None:
    base = load_base(compose_card(card, "scale=tiny"), torch.float32, "cpu")
    train = trained_with(max_steps=4, batch_size=3)
    plans = [Plan(METHODS[name], train, seed) for seed, name in enumerate(STACKED)]
    for ours, plan in zip(run(base, plans, sequences), plans, strict=True):
        assert_same(ours, run(base, [plan], sequences)[0])


@pytest.mark.parametrize("peft", [LORA, replace(LORA, dropout=0.4, r=9), PROMPT], ids=["lora", "dropout", "prompt"])
@pytest.mark.parametrize("index", [0, 1, 2])
def test_a_trial_that_diverges_takes_no_other_with_it(
    llama: BaseModel, sequences: list[TokenSequence], peft: Predictor, index: int
) -> None:
    sound = [MIXED[1], MIXED[2]]
    config = trained_with(max_steps=6, learning_rate=1e30, max_grad_norm=None, scheduler="constant", warmup_ratio=0.0)
    plans = [*sound[:index], Plan(peft, config, 9), *sound[index:]]
    results = run(llama, plans, sequences)
    broken = results.pop(index)
    assert broken.trial.failure is not None and "1e+30" in str(broken.trial.failure)
    assert broken.nll is None and len(broken.logged) < broken.trial.total_steps
    assert all(parameter.grad is None for parameter in broken.trial.parameters)
    for ours, plan in zip(results, sound, strict=True):
        (solo,) = run(llama, [plan], sequences)
        assert_same(ours, solo)


@pytest.mark.parametrize("dropout", [0.0, 0.3])
@pytest.mark.parametrize("changes", [{"micro_batch_size": 1}, {"micro_batch_size": 3}, {"token_slots": 64}], ids=str)
def test_micro_batches_and_small_passes_change_nothing(
    llama: BaseModel, sequences: list[TokenSequence], dropout: float, changes: dict[str, int]
) -> None:
    plans = [
        Plan(replace(LORA, dropout=dropout), trained_with(max_steps=4), 0),
        Plan(PROMPT, trained_with(max_steps=4), 1),
    ]
    whole = run(llama, plans, sequences)
    limits = small_passes(changes["token_slots"]) if "token_slots" in changes else None
    micro = {key: value for key, value in changes.items() if key != "token_slots"}
    divided = run(llama, [replace(p, train=replace(p.train, **micro)) for p in plans], sequences, limits)  # type: ignore[arg-type]
    for ours, reference in zip(divided, whole, strict=True):
        assert_same(ours, reference)


def test_training_is_repeatable_to_the_bit(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    once, again = (run(llama, MIXED, sequences) for _ in range(2))
    for one, other in zip(once, again, strict=True):
        assert [v["train_nll"] for v in one.logged] == [v["train_nll"] for v in other.logged]
        assert all(map(torch.equal, one.trial.parameters, other.trial.parameters))


def test_global_random_state_neither_matters_nor_changes(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    (first,) = run(llama, [MIXED[4]], sequences)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    (second,) = run(llama, [MIXED[4]], sequences)
    assert all(map(torch.equal, first.trial.parameters, second.trial.parameters))


def test_the_evaluation_logged_is_the_mean_over_tokens(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    (result,) = run(llama, [Plan(LORA, trained_with(max_steps=4, eval_every=2), 0)], sequences)
    evaluated = [values.get("eval_nll") for values in result.logged]
    labels = sum(len(s.tokens) - s.loss_from for s in sequences[7:])
    assert result.nll is not None
    assert [value is not None for value in evaluated] == [False, True, False, True]
    assert evaluated[-1] == pytest.approx(sum(result.nll) / labels, rel=1e-6)
    assert result.trial.progress.best_eval_nll == min(v for v in evaluated if v is not None)


def test_tokens_count_examples_whole_and_shared_prefixes_once_a_row(
    llama: BaseModel, sequences: list[TokenSequence]
) -> None:
    (result,) = run(llama, [Plan(LORA, trained_with(max_steps=1, batch_size=7), 0)], sequences)
    chosen = sequences[:7]
    prefixes = {s.tokens[:end] for s in chosen for end in range(1, len(s.tokens))}
    assert result.trial.progress.tokens == sum(len(s.tokens) for s in chosen)
    assert result.trial.progress.unique_tokens == len(prefixes)


def test_scores_belong_to_the_sequences_asked_for(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    """What lives for one call only may lie at one address, one after the other."""
    trial = Trial(adapter_of(llama, NONE), trained_with(), 0, [])
    with AdapterStack(llama.model, [trial.adapter]) as stack:
        engine = Engine(llama.model, stack, [trial])
        whole = engine.sequence_nll({0: sequences})[0].tolist()
        for index, sequence in enumerate(sequences):
            (found,) = engine.sequence_nll({0: (replace(sequence, index=0),)})[0].tolist()
            assert found == pytest.approx(whole[index], rel=TOLERANCE)


def test_a_trial_equals_a_plain_torch_loop(
    llama: BaseModel, sequences: list[TokenSequence], tmp_path: Path, compose_card: Callable[..., ModelConfig]
) -> None:
    """The reference: PEFT's modules, padded batches, torch's AdamW and transformers' schedule."""
    config = trained_with(max_steps=5)
    start = adapter_of(llama, LORA, 0, spread=None)
    export_adapter(start, llama.model, "none", tmp_path / "start")
    (result,) = run(llama, [Plan(LORA, config, 0, (0, 8))], sequences)
    losses = [values["train_nll"] for values in result.logged]
    weights = [parameter.detach() for parameter in result.trial.parameters]

    reference = load_base(compose_card("smollm2_135m_instruct", "scale=tiny"), torch.float32, "cpu")
    model = PeftModel.from_pretrained(reference.model, str(tmp_path / "start"), is_trainable=True)
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=1e-2, weight_decay=0.01)
    schedule = get_scheduler("cosine", optimizer, 1, 5)
    order = batches([len(sequence.tokens) for sequence in sequences[:8]], config.batch_size, 0)
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


def test_trials_that_join_and_leave_on_the_way_learn_as_they_do_solo(
    base: BaseModel, sequences: list[TokenSequence]
) -> None:
    """A row whose trial has ended, or was pruned, goes to another; the layers it adapts may be new to the group."""
    targets = ["c_attn"] if base.model.config.model_type == "gpt2" else ["v_proj"]
    plans = [
        Plan(replace(LORA, target_modules=targets), trained_with(max_steps=5), 0),
        Plan(PROMPT, trained_with(max_steps=2), 1),
        Plan(METHODS["ia3"], trained_with(max_steps=3), 2),
        Plan(replace(LORA, dropout=0.3), trained_with(max_steps=2), 3),
    ]
    evaluation = [replace(s, index=i) for i, s in enumerate(sequences[7:])]
    waiting = [Trial(adapter_of(base, p.peft, p.seed, None), p.train, p.seed, sequences[:7], evaluation) for p in plans]
    logged: dict[int, list[dict[str, float]]] = {index: [] for index in range(4)}
    scores: dict[int, list[float]] = {}
    with AdapterStack(base.model, []) as stack:
        engine = Engine(base.model, stack, [])
        started: list[Trial] = []
        while waiting or engine.active:
            while waiting and len(engine.active) < 2:
                started.append(waiting.pop(0))
                assert engine.add(started[-1]) == len(started) - 1
            for index, values in engine.step().items():
                logged[index].append(values)
                if not started[index].active:
                    scores[index] = engine.evaluation_nll([index])[index].tolist()
                    engine.retire(index)
    for index, plan in enumerate(plans):
        (solo,) = run(base, [plan], sequences)
        assert scores[index] == pytest.approx(solo.nll, rel=TOLERANCE)
        assert [v["train_nll"] for v in logged[index]] == pytest.approx(
            [v["train_nll"] for v in solo.logged], rel=TOLERANCE
        )
    assert not any(trial.adapter.trainable_parameters() or trial.parameters for trial in started)
