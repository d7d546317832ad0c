"""The best step is kept, patience ends the training, and neither depends on interruptions or on other runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.loading import BaseModel
from persona_sweeps.training import checkpoint
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.trial import Trial
from tests.toolbox import LORA, adapter_of, trained_with

TRAIN = trained_with(max_steps=10, eval_every=1, batch_size=3, learning_rate=0.05, scheduler="constant", keep="best")


def trial_of(base: BaseModel, sequences: Sequence[TokenSequence], **changes: object) -> Trial:
    """A trial that overfits three examples, so that the others get worse after a while."""
    held_out = [TokenSequence(s.tokens, s.loss_from, index) for index, s in enumerate(sequences[7:])]
    config = trained_with(**{**TRAIN.__dict__, **changes})
    return Trial(adapter_of(base, LORA, spread=None), config, 0, sequences[:3], held_out)


def train(base: BaseModel, trials: Sequence[Trial], steps: int = 1000) -> list[dict[str, float]]:
    logged = []
    with AdapterStack(base.model, [trial.adapter for trial in trials]) as stack:
        engine = Engine(base.model, stack, list(trials))
        while engine.active and steps:
            logged += [values for values in (engine.start().get(0), engine.step().get(0)) if values]
            steps -= 1
    return logged


def evaluate(base: BaseModel, trial: Trial) -> float:
    with AdapterStack(base.model, [trial.adapter]) as stack:
        sums = Engine(base.model, stack, [trial]).evaluation_nll([0])[0]
    return float(sums.sum()) / sum(sequence.labels for sequence in trial.evaluation)


def test_the_weights_of_the_best_evaluation_are_put_back(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    trial = trial_of(llama, sequences)
    losses = {int(v["step"]): v["eval_nll"] for v in train(llama, [trial])}
    best = min(losses, key=lambda step: losses[step])
    assert best < 10, "it never got worse: the test decides nothing"
    assert evaluate(llama, trial) == pytest.approx(losses[10])
    trial.keep_best()
    assert trial.progress.best_step == best and evaluate(llama, trial) == pytest.approx(losses[best], rel=1e-6)


def test_patience_ends_the_training_after_so_many_that_are_no_better(
    llama: BaseModel, sequences: list[TokenSequence]
) -> None:
    whole = [v["eval_nll"] for v in train(llama, [trial_of(llama, sequences)])]
    best, worse, expected = whole[0], 0, 0
    for expected, loss in enumerate(whole, start=1):
        worse = 0 if loss < best or expected == 1 else worse + 1
        best = min(best, loss)
        if worse == 2:
            break
    trial = trial_of(llama, sequences, patience=2)
    logged = train(llama, [trial])
    assert len(logged) == trial.progress.step == expected < 10 and trial.lost_patience
    assert [v["eval_nll"] for v in logged] == pytest.approx(whole[:expected])


@pytest.mark.parametrize("interrupted_at", [1, 3, 5])
def test_resumed_is_uninterrupted(
    llama: BaseModel, sequences: list[TokenSequence], tmp_path: Path, interrupted_at: int
) -> None:
    whole = trial_of(llama, sequences, patience=3, eval_at_start=True)
    expected = train(llama, [whole])
    first = trial_of(llama, sequences, patience=3, eval_at_start=True)
    before = train(llama, [first], interrupted_at)
    checkpoint.save(first, tmp_path, "0123456789", {})
    found, _ = checkpoint.newest(tmp_path, "0123456789")
    assert found is not None
    second = trial_of(llama, sequences, patience=3, eval_at_start=True)
    checkpoint.restore(second, found)
    after = train(llama, [second])
    assert [v["eval_nll"] for v in before + after] == [v["eval_nll"] for v in expected]
    whole.keep_best()
    second.keep_best()
    for one, other in zip(whole.parameters, second.parameters, strict=True):
        assert torch.equal(one, other)


def test_a_study_s_rungs_decide_nothing(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    plain, judged = (trial_of(llama, sequences, eval_every=4, patience=2) for _ in range(2))
    judged.judge_after([3, 6, 9, 15, 18])
    train(llama, [plain])
    train(llama, [judged])
    assert (plain.progress.best_step, plain.progress.step) == (judged.progress.best_step, judged.progress.step)
    plain.keep_best()
    judged.keep_best()
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters, judged.parameters, strict=True))


def test_an_evaluation_before_the_first_step_is_that_of_the_fresh_adapter(
    llama: BaseModel, sequences: list[TokenSequence]
) -> None:
    trial = trial_of(llama, sequences, eval_at_start=True)
    fresh = evaluate(llama, trial_of(llama, sequences))
    logged = train(llama, [trial])
    assert [int(v["step"]) for v in logged] == list(range(11))
    assert logged[0]["eval_nll"] == pytest.approx(fresh) and "train_nll" not in logged[0]


def test_warm_up_may_be_so_many_steps(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    logged = train(llama, [trial_of(llama, sequences, warmup_steps=4, warmup_ratio=0.9)])
    rates = [v["learning_rate"] for v in logged]
    assert rates == pytest.approx([0.0, 0.0125, 0.025, 0.0375, *[0.05] * 6])
