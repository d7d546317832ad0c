"""What runs out of memory is done again in smaller portions: the result stays, and what was learned holds."""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from persona_sweeps.config.predictor import Predictor
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.forward import GroupForward
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.batch import PackedBatch
from persona_sweeps.models.loading import BaseModel
from persona_sweeps.prediction.decoding import Generation
from persona_sweeps.prediction.generation import generate, requests
from persona_sweeps.prediction.greedy import Greedy
from persona_sweeps.prediction.nucleus import Nucleus
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.limits import DoesNotFit, Limits
from persona_sweeps.training.memory import is_out_of_memory
from persona_sweeps.training.trial import Trial
from tests.toolbox import LORA, NONE, PROMPT, adapter_of, relative_error, trained_with

TOLERANCE = 1e-5
DROPOUT = replace(LORA, dropout=0.3)
TRIALS = {
    "lora": [(DROPOUT, {"batch_size": 7})],
    "prompt": [(PROMPT, {"batch_size": 7})],
    "three": [(DROPOUT, {"batch_size": 7}), (PROMPT, {"batch_size": 2}), (replace(LORA, r=2), {"batch_size": 3})],
}


@dataclass
class Device:
    """A device with room for passes of so many token slots and for so many sequences at once, and what it saw."""

    training: int = 10**9
    scoring: int = 10**9
    sequences: int = 10**9
    passes: list[int] = field(default_factory=list)
    """token slots of the training passes that went through"""
    refused: list[int] = field(default_factory=list)
    """token slots of the passes that didn't"""
    held: list[weakref.ref] = field(default_factory=list)
    """hidden states of the refused passes"""
    at_pass: Callable[[int], bool] = lambda number: False
    """whether to refuse a training pass, counted from 0, whatever its size"""

    def hidden(self, forward: GroupForward, batch: PackedBatch, dropout: bool = False, **settings: Any) -> torch.Tensor:
        assert all(states() is None for states in self.held), "a refused pass is still held"
        states = real_hidden(forward, batch, dropout=dropout, **settings)
        number = len(self.passes) + len(self.refused)
        if batch.token_slots > (self.training if dropout else self.scoring) or dropout and self.at_pass(number):
            self.refused.append(batch.token_slots)
            self.held.append(weakref.ref(states))
            raise torch.OutOfMemoryError(f"{batch.token_slots} token slots are too many")
        if dropout:
            self.passes.append(batch.token_slots)
        return states

    def decode(self, forward: GroupForward, embeddings: torch.Tensor, *rest: Any) -> torch.Tensor:
        if embeddings.shape[1] == 1 and len(embeddings) > self.sequences:
            self.refused.append(len(embeddings))
            raise torch.OutOfMemoryError(f"{len(embeddings)} sequences are too many")
        return real_decode(forward, embeddings, *rest)


real_hidden, real_decode = GroupForward.hidden, GroupForward.decode


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    found = Device()
    monkeypatch.setattr(GroupForward, "hidden", lambda forward, batch, **s: found.hidden(forward, batch, **s))
    monkeypatch.setattr(GroupForward, "decode", lambda forward, *given: found.decode(forward, *given))
    return found


@dataclass
class Trained:
    losses: list[list[float]]
    weights: list[torch.Tensor]
    trials: list[Trial]
    nll: dict[int, np.ndarray]
    messages: list[str]


def train(
    base: BaseModel,
    wanted: Sequence[tuple[Predictor, dict[str, int]]],
    sequences: Sequence[TokenSequence],
    limits: Limits | None = None,
) -> Trained:
    trials = [
        Trial(adapter_of(base, peft, seed), trained_with(max_steps=4, **changes), seed, sequences[:7], sequences[7:])
        for seed, (peft, changes) in enumerate(wanted)
    ]
    losses: list[list[float]] = [[] for _ in trials]
    messages: list[str] = []
    with AdapterStack(base.model, [trial.adapter for trial in trials]) as stack:
        engine = Engine(base.model, stack, trials, limits, messages.append)
        engine.train(lambda index, values: losses[index].append(values["train_nll"]))
        nll = engine.evaluation_nll(range(len(trials)))
    weights = [parameter.detach().clone() for trial in trials for parameter in trial.parameters]
    return Trained(losses, weights, trials, nll, messages)


def assert_same(ours: Trained, reference: Trained) -> None:
    for mine, expected in zip(ours.losses, reference.losses, strict=True):
        assert mine == pytest.approx(expected, rel=TOLERANCE)
    for one, other in zip(ours.weights, reference.weights, strict=True):
        assert relative_error(one, other) < TOLERANCE
    for index, nll in reference.nll.items():
        assert ours.nll[index] == pytest.approx(nll, rel=TOLERANCE)
    for trial, untroubled in zip(ours.trials, reference.trials, strict=True):
        assert trial.progress.tokens == untroubled.progress.tokens


@pytest.mark.parametrize("token_slots", [400, 200, 130, 90])
@pytest.mark.parametrize("wanted", TRIALS.values(), ids=TRIALS.keys())
def test_a_device_that_is_too_small_changes_no_result(
    llama: BaseModel, sequences: list[TokenSequence], device: Device, wanted: list, token_slots: int
) -> None:
    untroubled = train(llama, wanted, sequences)
    device.training = token_slots
    device.scoring = token_slots
    limited = train(llama, wanted, sequences)
    assert_same(limited, untroubled)
    assert len(limited.messages) == len(device.refused)
    assert bool(device.refused) == (max(device.passes) > token_slots)


@pytest.mark.parametrize("changes", [{}, {"micro_batch_size": 2}], ids=["whole", "micro"])
@pytest.mark.parametrize(
    "refuse", [lambda n: n == 1, lambda n: n in (0, 2, 5), lambda n: n < 3], ids=["1", "some", "3"]
)
def test_memory_may_run_out_at_any_pass(
    llama: BaseModel, sequences: list[TokenSequence], device: Device, refuse: Callable, changes: dict[str, int]
) -> None:
    """After passes of the same step whose gradients are gathered already, too."""
    wanted = [(peft, own | changes) for peft, own in TRIALS["three"]]
    untroubled = train(llama, wanted, sequences)
    device.passes.clear()
    device.at_pass = refuse
    limited = train(llama, wanted, sequences)
    assert_same(limited, untroubled)
    assert len(device.refused) == len(limited.messages) > 0


def test_memory_may_run_out_in_the_backward(
    llama: BaseModel, sequences: list[TokenSequence], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the gradients of the upper layers there already, and those of the lower ones not."""
    untroubled = train(llama, TRIALS["three"], sequences)
    passes = iter(range(1000))

    def fails(gradient: torch.Tensor) -> None:
        raise torch.OutOfMemoryError("no memory left")

    def refuse_some(module: torch.nn.Module, inputs: tuple, output: torch.Tensor) -> None:
        if output.requires_grad and next(passes) in (0, 2, 7):
            output.register_hook(fails)

    handle = llama.model.get_submodule("model.layers.0.mlp").register_forward_hook(refuse_some)
    limited = train(llama, TRIALS["three"], sequences)
    handle.remove()
    assert_same(limited, untroubled)
    assert len(limited.messages) == 3


def test_passes_and_micro_batches_are_halved_down_to_one_example_of_one_trial(
    llama: BaseModel, sequences: list[TokenSequence], device: Device
) -> None:
    device.training = 90
    limits = Limits()
    limited = train(llama, TRIALS["three"], sequences, limits)
    assert "token slots in a pass" in limited.messages[0]
    assert limits.training.examples == 1
    assert [trial.progress.micro_batch_size for trial in limited.trials] == [1, 1, 1]
    assert "micro-batches of 7: at most 3 from now on" in " ".join(limited.messages)


def test_what_was_learned_holds_for_the_next_trial(
    llama: BaseModel, sequences: list[TokenSequence], device: Device
) -> None:
    device.training, device.scoring = 150, 100
    limits = Limits()
    first = train(llama, TRIALS["lora"], sequences, limits)
    assert first.messages and first.trials[0].progress.micro_batch_size in (1, 3)
    refused = len(device.refused)
    second = train(llama, TRIALS["three"], sequences, limits)
    assert [t for t in second.messages if "micro-batches" in t or "portions" in t] == []
    third = train(llama, TRIALS["three"], sequences, limits)
    assert len(device.refused) == refused + len(second.messages) and third.messages == []
    assert (limits.generation, Limits().generation.examples) == (Limits().generation, None)


def test_a_trial_that_asks_for_less_is_not_said_to_have_been_lowered(
    llama: BaseModel, sequences: list[TokenSequence], device: Device
) -> None:
    device.training = 170
    limited = train(llama, [(LORA, {"batch_size": 7}), (LORA, {"micro_batch_size": 1})], sequences)
    lowered, small = (trial.progress.micro_batch_size for trial in limited.trials)
    assert lowered == 3 and small is None


def test_an_example_that_fits_nowhere_says_what_was_tried_and_teaches_nothing(
    llama: BaseModel, sequences: list[TokenSequence], device: Device
) -> None:
    device.training = 20
    limits = Limits()
    with pytest.raises(
        DoesNotFit, match=r"tried micro-batches of 7, 3 and 1; the last had \d\d token slots"
    ) as messages:
        train(llama, TRIALS["lora"], sequences, limits)
    assert "train.max_length" in str(messages.value) and limits == Limits()
    device.training, device.scoring = 10**9, 20
    with pytest.raises(DoesNotFit, match="while scoring"):
        train(llama, TRIALS["lora"], sequences, limits)
    assert limits == Limits()


@pytest.fixture
def engine(llama: BaseModel) -> Iterator[Engine]:
    adapters = [adapter_of(llama, peft, seed, spread=0.2) for seed, peft in enumerate((NONE, LORA, PROMPT))]
    with AdapterStack(llama.model, adapters) as stack:
        yield Engine(llama.model, stack, [Trial(adapter, trained_with(), 0, []) for adapter in adapters])


@pytest.mark.parametrize("token_slots", [300, 100])
def test_scores_are_the_same_on_a_small_device(
    engine: Engine, sequences: list[TokenSequence], device: Device, token_slots: int
) -> None:
    asked = {trial: sequences for trial in range(3)}
    whole = engine.sequence_nll(asked)
    device.scoring = token_slots
    assert device.refused == []
    for again in range(2):
        for trial, nll in engine.sequence_nll(asked).items():
            assert nll == pytest.approx(whole[trial], rel=TOLERANCE)
        if not again:
            refused = len(device.refused)
    assert len(device.refused) == refused > 0 and (engine.limits.scoring.examples is not None) == (token_slots == 100)


@pytest.mark.parametrize("config", [
    Greedy(method="greedy", max_new_tokens=8),
    Nucleus(method="nucleus", max_new_tokens=8, temperature=0.8, top_p=0.9),
], ids=["greedy", "nucleus"])  # fmt: skip
@pytest.mark.parametrize("small", [{"sequences": 5}, {"sequences": 1}, {"scoring": 100}], ids=str)
def test_texts_are_the_same_on_a_small_device(
    engine: Engine, sequences: list[TokenSequence], device: Device, config: Generation, small: dict[str, int]
) -> None:
    prompts = [sequence.tokens[: sequence.loss_from] for sequence in sequences[:6]]
    asked = [request for trial in range(3) for request in requests(trial, prompts, list("abcdef"), 3)]
    whole = generate(engine, asked, config, [])
    for name, value in small.items():
        setattr(device, name, value)
    assert generate(engine, asked, config, []) == whole
    assert engine.limits.generation.examples is not None and engine.limits.training == Limits().training
    refused = len(device.refused)
    assert generate(engine, asked, config, []) == whole
    assert len(device.refused) == refused > 0
    device.sequences = 0
    with pytest.raises(DoesNotFit, match="while generating: tried portions of .* generation.max_new_tokens"):
        generate(engine, asked, config, [])


def test_other_errors_are_not_tried_again(llama: BaseModel, sequences: list[TokenSequence], device: Device) -> None:
    calls = []

    def refuse(number: int) -> bool:
        calls.append(number)
        raise RuntimeError("sizes of tensors must match")

    device.at_pass = refuse
    with pytest.raises(RuntimeError, match="must match"):
        train(llama, TRIALS["lora"], sequences)
    assert len(calls) == 1


def test_the_errors_of_real_allocators_are_known() -> None:
    def error_of(work: Callable[[], Any]) -> BaseException:
        with pytest.raises(BaseException) as caught:
            work()
        return caught.value

    assert is_out_of_memory(error_of(lambda: torch.empty(10**15)))
    assert is_out_of_memory(error_of(lambda: np.empty(10**15)))
    assert is_out_of_memory(error_of(lambda: bytearray(10**17)))
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(error_of(lambda: torch.zeros(2) @ torch.zeros(3)))


def test_a_run_records_and_tells_the_micro_batch_that_it_ended_with(
    launch: Callable, tiny: tuple[str, ...], device: Device
) -> None:
    untroubled = launch(*tiny, "peft.dropout=0.1", "output_dir=whole")
    assert untroubled.code == 0, untroubled.err
    (whole,) = [json.loads(path.read_text()) for path in untroubled.folder.glob("whole/runs/*/run.json")]
    device.training = max(device.passes) - 1
    # Of another seed, so that the first run's micro-batch is learned and not only its own.
    ended = launch("-m", *tiny, "peft.dropout=0.1", "seed=0,1", "group_size=1")
    assert ended.code == 0, ended.err
    records = ended.by("seed")
    assert "micro_batch_size" not in whole["resources"] and records[0]["resources"]["micro_batch_size"] == 2
    (scored,) = [json.loads(path.read_text()) for path in untroubled.folder.glob("whole/runs/*/evaluations/*.json")]
    assert records[0]["metrics"] == pytest.approx(scored["metrics"], rel=1e-4)
    assert records[1]["resources"]["micro_batch_size"] == 2
    assert ended.out.count("Out of memory while training with micro-batches of 4: at most 2 from now on") == 1


def test_a_run_that_fits_nowhere_fails_alone_and_the_group_is_let_go_first(
    launch: Callable, tiny: tuple[str, ...], device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run's soft prompt is too long for the device; it trains in a group with two runs that fit."""
    trials: list[weakref.ref] = []
    begin, add = Engine.__init__, Engine.add

    def counting(engine: Engine, *arguments: Any) -> None:
        assert all(trial() is None for trial in trials), "the trials of an earlier group are still held"
        begin(engine, *arguments)

    def remembered(engine: Engine, trial: Trial) -> int:
        trials.append(weakref.ref(trial))
        return add(engine, trial)

    monkeypatch.setattr(Engine, "__init__", counting)
    monkeypatch.setattr(Engine, "add", remembered)
    device.training = 120
    gc.disable()
    ended = launch("-m", *tiny, "peft=prompt_tuning", "peft.num_virtual_tokens=4,100,5", "sweep.name=small")
    gc.enable()
    assert ended.code == 1 and len(trials) == 6
    assert [cell["state"] for cell in ended.sweep("small")] == ["completed", "failed", "completed"]
    records = ended.by("peft", "num_virtual_tokens")
    assert records[100]["failure"]["type"] == "DoesNotFit"
    assert "tried micro-batches of 4, 2 and 1; the last had" in records[100]["failure"]["message"]
    assert "A pass of 3 runs failed (DoesNotFit:" in ended.out and "each now goes on solo" in ended.out
    # What fits under no limit teaches nothing: the other two run with the whole batch, where it fits.
    assert [records[size]["resources"].get("micro_batch_size") for size in (4, 5)] == [None, None]


def test_an_optimizer_that_does_not_fit_fails_its_run_in_plain_words(
    launch: Callable, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(trial: Trial, train_nll: float, norm: float) -> dict[str, float]:
        raise torch.OutOfMemoryError("CUDA out of memory.")

    monkeypatch.setattr(Trial, "update", refuse)
    ended = launch(*tiny)
    (record,) = ended.records()
    assert ended.code == 1 and record["failure"]["message"].startswith("the base model with this run's adapter")
    assert "CUDA out of memory." in record["failure"]["traceback_tail"]


@pytest.mark.long
@pytest.mark.slow
def test_a_process_with_an_address_limit_finishes_by_halving(tmp_path: Path) -> None:
    """The real thing: torch's allocator refuses, the step is divided, and the loss is that of a whole batch."""
    script = Path(__file__).with_name("limited_process.py")
    environment = {**os.environ, "PYTHONPATH": str(script.parents[2])}
    losses = []
    for spare in ("100000", "150"):
        done = subprocess.run(
            [sys.executable, str(script), spare],
            capture_output=True,
            text=True,
            timeout=120,
            cwd=tmp_path,
            env=environment,
        )
        assert done.returncode == 0, done.stderr
        losses.append(json.loads(done.stdout))
    (whole, limited) = losses
    assert whole["messages"] == [] and limited["messages"] and limited["examples"] is not None
    assert limited["losses"] == pytest.approx(whole["losses"], rel=TOLERANCE)
