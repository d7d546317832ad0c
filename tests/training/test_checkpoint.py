"""A trial that is saved, thrown away and restored goes on to the very numbers of one that was not interrupted."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from persona_sweeps.config.predictor import Predictor
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.loading import BaseModel
from persona_sweeps.training import checkpoint
from persona_sweeps.training.checkpoint import BROKEN, STATE, TENSORS, CheckpointError
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.trial import Trial
from tests.toolbox import LORA, METHODS, adapter_of, trained_with

TRAIN = trained_with(max_steps=7, eval_every=2, batch_size=3, weight_decay=0.1)
RUN = "0123456789"


def trial_of(base: BaseModel, peft: Predictor, sequences: Sequence[TokenSequence], seed: int = 0) -> Trial:
    return Trial(adapter_of(base, peft, seed, spread=None), TRAIN, seed, sequences[:7], sequences[:2])


def train(base: BaseModel, trials: Sequence[Trial], steps: int | None = None) -> list[dict[str, float]]:
    """Train these together for so many steps, or to the end; return what the first logged."""
    logged = []
    with AdapterStack(base.model, [trial.adapter for trial in trials]) as stack:
        engine = Engine(base.model, stack, list(trials))
        while engine.active and steps != 0:
            values = engine.step()
            logged.append({name: value for name, value in values.get(0, {}).items() if name != "seconds"})
            steps = None if steps is None else steps - 1
    return [values for values in logged if values]


def state_of(trial: Trial) -> list[torch.Tensor]:
    moments = [moment for entry in trial.optimizer.state.values() for moment in entry.values()]
    return [tensor.detach().clone() for tensor in (*trial.parameters, *moments)]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("interrupted_at", [1, 4, 7])
def test_resumed_is_uninterrupted(
    llama: BaseModel, sequences: Sequence[TokenSequence], tmp_path: Path, method: str, interrupted_at: int
) -> None:
    whole = trial_of(llama, METHODS[method], sequences)
    expected = train(llama, [whole])
    first = trial_of(llama, METHODS[method], sequences)
    before = train(llama, [first], interrupted_at)
    checkpoint.save(first, tmp_path, RUN, {"cpu_seconds": 2.0})
    found, messages = checkpoint.newest(tmp_path, RUN)
    assert found is not None and not messages and found.step == interrupted_at and found.notes == {"cpu_seconds": 2.0}
    second = trial_of(llama, METHODS[method], sequences)
    checkpoint.restore(second, found)
    assert before + train(llama, [second]) == expected
    for ours, theirs in zip(state_of(second), state_of(whole), strict=True):
        assert torch.equal(ours, theirs)
    assert second.progress.eval_items is not None and whole.progress.eval_items is not None
    assert (second.progress.eval_items == whole.progress.eval_items).all()
    for name in ("step", "tokens", "unique_tokens", "train_nll", "eval_nll", "best_eval_nll"):
        assert getattr(second.progress, name) == getattr(whole.progress, name), name


def test_a_restored_trial_may_stand_at_another_step_than_its_group(
    llama: BaseModel, sequences: Sequence[TokenSequence], tmp_path: Path
) -> None:
    other = trial_of(llama, LORA, sequences, seed=1)
    whole = trial_of(llama, LORA, sequences)
    expected = train(llama, [whole])
    first = trial_of(llama, LORA, sequences)
    before = train(llama, [first], 3)
    checkpoint.save(first, tmp_path, RUN, {})
    second = trial_of(llama, LORA, sequences)
    found, _ = checkpoint.newest(tmp_path, RUN)
    assert found is not None
    checkpoint.restore(second, found)
    together = before + train(llama, [second, other])
    for ours, theirs in zip(together, expected, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-4)


@pytest.fixture
def saved(llama: BaseModel, sequences: Sequence[TokenSequence], tmp_path: Path) -> Path:
    """A folder with the checkpoints of steps 2 and 4, as a crash between writing and removing leaves them."""
    trial = trial_of(llama, LORA, sequences)
    train(llama, [trial], 2)
    earlier = checkpoint.save(trial, tmp_path, RUN, {})
    shutil.copytree(earlier, tmp_path / "kept")
    train(llama, [trial], 2)
    later = checkpoint.save(trial, tmp_path, RUN, {})
    assert earlier.is_dir(), "until the others of its group are written too"
    checkpoint.remove_older(later)
    assert later.is_dir() and not earlier.exists(), "only the newest is kept"
    (tmp_path / "kept").rename(earlier)
    return tmp_path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def forge(path: Path) -> None:
    state = json.loads(path.read_text())
    path.write_text(json.dumps(state | {"run_id": "ffffffffff"}))


@pytest.mark.parametrize(
    "name, spoil, message",
    [
        (TENSORS, truncate, "has changed since it was written"),
        (TENSORS, flip, "has changed since it was written"),
        (TENSORS, os.unlink, "FileNotFoundError"),
        (STATE, truncate, "JSONDecodeError"),
        (STATE, os.unlink, "FileNotFoundError"),
        (STATE, forge, "it belongs to run ffffffffff"),
        (STATE, lambda path: path.write_text("[]"), "format 1"),
        (STATE, lambda path: path.write_bytes(b"\xff\x00"), "UnicodeDecodeError"),
    ],
    ids=["tensors-cut", "tensors-flipped", "tensors-gone", "state-cut", "state-gone", "other-run", "no-state", "noise"],
)  # fmt: skip
def test_a_checkpoint_that_isn_t_whole_is_set_aside_and_the_one_before_is_used(
    saved: Path, name: str, spoil, message: str
) -> None:
    spoil(saved / "step-000004" / name)
    found, sentences = checkpoint.newest(saved, RUN)
    assert found is not None and found.step == 2
    assert len(sentences) == 1 and message in sentences[0] and "set aside" in sentences[0]
    assert (saved / f"{BROKEN}step-000004-0").is_dir(), "it is kept"
    assert checkpoint.newest(saved, RUN)[1] == [], "and reported once"


def test_what_a_kill_leaves_half_made_is_removed_and_never_used(saved: Path) -> None:
    half = saved / ".step-000001-abc"
    shutil.copytree(saved / "step-000004", half)
    found, messages = checkpoint.newest(saved, RUN)
    assert found is not None and found.step == 4 and not messages and not half.exists()


def test_another_trial_s_checkpoint_changes_nothing(
    llama: BaseModel, sequences: Sequence[TokenSequence], saved: Path
) -> None:
    other = trial_of(llama, METHODS["prompt_tuning"], sequences)
    before = [parameter.detach().clone() for parameter in other.parameters]
    found, _ = checkpoint.newest(saved, RUN)
    assert found is not None
    with pytest.raises(CheckpointError, match="other weights"):
        checkpoint.restore(other, found)
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(other.parameters, before, strict=True))
    assert other.progress.step == 0


def test_removing_leaves_nothing_but_what_was_set_aside(saved: Path) -> None:
    flip(saved / "step-000004" / TENSORS)
    checkpoint.newest(saved, RUN)
    checkpoint.remove(saved)
    assert [path.name for path in saved.iterdir()] == [f"{BROKEN}step-000004-0"]
