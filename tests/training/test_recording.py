"""A recorded pass reads each step's batch where the recording was made, and learns what an unrecorded one does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.loading import BaseModel
from persona_sweeps.training import recording
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.recording import Recorder
from persona_sweeps.training.trial import Trial
from tests.toolbox import LORA, RepeatingTape, adapter_of, relative_error, trained_with


def train(
    base: BaseModel, sequences: list[TokenSequence], tape: RepeatingTape | None
) -> tuple[list[tuple], list[Tensor]]:
    adapters = [adapter_of(base, replace(LORA, dropout=0.2, r=2 + seed), seed, spread=None) for seed in range(3)]
    logged = []
    with AdapterStack(base.model, adapters) as stack:
        trials = [
            Trial(adapter, trained_with(max_steps=10, batch_size=3, learning_rate=1e-3), seed, sequences)
            for seed, adapter in enumerate(adapters)
        ]
        engine = Engine(base.model, stack, trials)
        if tape is not None:
            engine._recorder = Recorder(stack, engine._backward_of, torch.device("cpu"), tape, print)
        engine.train(lambda index, values: logged.append((index, values["train_nll"], values["grad_norm"])))
    return logged, [parameter.detach() for adapter in adapters for parameter in adapter.parameters()]


@pytest.mark.parametrize("most", [recording.MOST, 1])
def test_what_is_replayed_learns_what_is_not(
    llama: BaseModel, sequences: list[TokenSequence], most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "MOST", most)
    monkeypatch.setattr(recording, "PADDING", recording.Padding(32, 32))
    tape = RepeatingTape()
    expected, reference = train(llama, sequences, None)
    found, learned = train(llama, sequences, tape)
    assert 1 <= tape.recorded <= most and tape.replayed >= 3
    for mine, other in zip(found, expected, strict=True):
        assert mine == pytest.approx(other, rel=1e-4)
    for one, other in zip(learned, reference, strict=True):
        assert relative_error(one, other) < 1e-4


def test_other_trials_are_recorded_anew(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    """Once a trial has finished, the recordings of the group read memory that is no longer its own."""
    tape = RepeatingTape()
    adapters = [adapter_of(llama, LORA, seed, spread=None) for seed in range(3)]
    with AdapterStack(llama.model, adapters) as stack:
        trials = [
            Trial(adapter, trained_with(max_steps=4 if seed == 0 else 8), seed, sequences)
            for seed, adapter in enumerate(adapters)
        ]
        engine = Engine(llama.model, stack, trials)
        engine._recorder = Recorder(stack, engine._backward_of, torch.device("cpu"), tape, print)
        while len(engine.active) == 3:
            engine.step()
        before = tape.recorded
        assert before and engine._recorder._recordings
        engine._recorder.tape = two = RepeatingTape()
        engine.train(lambda index, values: None)
    assert two.recorded and all(trial.failure is None and trial.is_over for trial in trials)


def test_what_cannot_be_recorded_is_computed_as_it_comes(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    class Broken(RepeatingTape):
        def record(self, work: Callable[[], Tensor]) -> tuple[Callable[[], None], Tensor]:
            self.recorded += 1
            raise RuntimeError("operation not permitted when stream is capturing\nCompile with …")

    tape, notes = Broken(), []
    adapter = adapter_of(llama, LORA, spread=None)
    with AdapterStack(llama.model, [adapter]) as stack:
        trial = Trial(adapter, trained_with(max_steps=6), 0, sequences)
        engine = Engine(llama.model, stack, [trial])
        engine._recorder = Recorder(stack, engine._backward_of, torch.device("cpu"), tape, notes.append)
        engine.train(lambda index, values: None)
    assert trial.failure is None and trial.is_over and tape.recorded == 1
    assert notes == [
        "The GPU's work can't be recorded and replayed (operation not permitted when stream is capturing): it takes "
        "longer, and the result is the same."
    ]
