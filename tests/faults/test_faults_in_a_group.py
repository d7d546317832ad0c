"""What goes wrong with one run of a group leaves the others as they would have been; what all share costs no steps."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.results import (
    OUTPUT,
    assert_equal,
    evaluations,
    folder_of,
    records,
    results,
    starts,
    steps_logged,
)

STEPS = 12
SWEEP = ("seed=0,1,2", f"train.max_steps={STEPS}", "train.eval_every=4", "sweep.name=group")


def by_seed(output: Path) -> dict[int, dict[str, Any]]:
    return {record["config"]["seed"]: record for record in records(output).values()}


@pytest.fixture
def healthy(left_alone: Callable, tiny: tuple[str, ...]) -> Callable[[Path], None]:
    """A function that sees whether all runs in a folder are what they come to when nothing goes wrong."""

    def compare(output: Path) -> None:
        assert_equal(results(output), left_alone("-m", *tiny, *SWEEP), exactly=False)

    return compare


def set_up(monkeypatch: pytest.MonkeyPatch) -> None:
    from persona_sweeps.methods.lora import Lora

    create = Lora.create

    def broken(method: Lora, model: Any, tokenizer: Any, seed: int) -> Any:
        if seed == 1:
            raise RuntimeError("broken on purpose")
        return create(method, model, tokenizer, seed)

    monkeypatch.setattr(Lora, "create", broken)


def step(monkeypatch: pytest.MonkeyPatch) -> None:
    from persona_sweeps.training.trial import Trial

    update = Trial.update

    def broken(trial: Trial, loss: float, norm: float) -> Any:
        if trial.adapter.seed == 1 and trial.progress.step == 5:
            raise RuntimeError("broken on purpose")
        return update(trial, loss, norm)

    monkeypatch.setattr(Trial, "update", broken)


def loss(monkeypatch: pytest.MonkeyPatch) -> None:
    from persona_sweeps.training.trial import Trial

    update = Trial.update
    monkeypatch.setattr(
        Trial,
        "update",
        lambda trial, loss, norm: update(trial, float("nan") if trial.adapter.seed == 1 else loss, norm),
    )


def exporting(monkeypatch: pytest.MonkeyPatch) -> None:
    from persona_sweeps.methods.lora import Lora

    save = Lora.save

    def broken(method: Lora, adapter: Any, *rest: Any) -> None:
        if adapter.seed == 1:
            raise RuntimeError("broken on purpose")
        save(method, adapter, *rest)

    monkeypatch.setattr(Lora, "save", broken)


def predicting(monkeypatch: pytest.MonkeyPatch) -> None:
    """The adapter of one run can't be read."""
    from persona_sweeps.methods.lora import Lora

    load = Lora.load

    def broken(method: Lora, model: Any, folder: Path) -> Any:
        if "-s1-" in folder.name:
            raise RuntimeError("broken on purpose")
        return load(method, model, folder)

    monkeypatch.setattr(Lora, "load", broken)


def scoring(monkeypatch: pytest.MonkeyPatch) -> None:
    from persona_sweeps.running import group

    score = group.score

    def broken(cell: Any) -> Any:
        if cell.config.seed == 1:
            raise RuntimeError("broken on purpose")
        return score(cell)

    monkeypatch.setattr(group, "score", broken)


AFTER_TRAINING = (predicting, scoring)


@pytest.mark.parametrize("breaks", [set_up, step, loss, exporting, *AFTER_TRAINING], ids=lambda f: f.__name__)
def test_a_fault_of_one_run_is_its_own(
    launch: Callable, tiny: tuple[str, ...], healthy: Callable, monkeypatch: pytest.MonkeyPatch, breaks: Callable
) -> None:
    with monkeypatch.context() as patched:
        breaks(patched)
        broken = launch("-m", *tiny, *SWEEP)
    assert broken.code == 1 and "Traceback" not in broken.err
    assert [cell["state"] for cell in broken.sweep("group")] == ["completed", "failed", "completed"]
    runs = by_seed(broken.output)
    trained = breaks in AFTER_TRAINING
    statuses = ["completed", "completed" if trained else "failed", "completed"]
    assert [runs[seed]["status"] for seed in range(3)] == statuses
    [failure] = [found["failure"] for found in [runs[1], *evaluations(broken.output)] if found["failure"]]
    why = "not a finite number" if breaks is loss else "broken on purpose"
    assert why in failure["message"] and why in broken.err + broken.out
    assert [runs[seed]["resources"]["group_size"] for seed in (0, 2)] == [2 if breaks is set_up else 3] * 2

    again = launch("-m", *tiny, *SWEEP)
    assert again.code == 0 and "2 done already, 1 to run" in again.out
    begun = starts(folder_of(again.output, runs[1]["run_id"]))
    if trained:
        assert begun == [0], "nothing was trained again"
    else:
        assert begun[-1] == (STEPS if breaks is exporting else 0), "what was trained is kept"
    healthy(again.output)


def in_the_pass(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    from persona_sweeps.training.engine import Engine

    gather = Engine._accumulate_within_limit

    def broken(engine: Engine, examples: Any) -> Any:
        if len(examples) > 1 and engine.trials[0].progress.step == at:
            raise RuntimeError("broken on purpose")
        return gather(engine, examples)

    monkeypatch.setattr(Engine, "_accumulate_within_limit", broken)


def in_an_evaluation(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    from persona_sweeps.training.engine import Engine

    score = Engine.evaluation_nll

    def broken(engine: Engine, indices: Any) -> Any:
        if len(indices) > 1 and engine.trials[0].progress.step == at + 1:
            raise RuntimeError("broken on purpose")
        return score(engine, indices)

    monkeypatch.setattr(Engine, "evaluation_nll", broken)


@pytest.mark.parametrize("breaks, at", [(in_the_pass, 7), (in_an_evaluation, 7), (in_the_pass, 0)])
def test_after_a_fault_that_all_share_each_goes_on_solo_from_where_it_was(
    launch: Callable,
    tiny: tuple[str, ...],
    healthy: Callable,
    monkeypatch: pytest.MonkeyPatch,
    breaks: Callable,
    at: int,
) -> None:
    """The step of a failed evaluation is in no history: it is taken again, from the checkpoint before."""
    with monkeypatch.context() as patched:
        breaks(patched, at)
        broken = launch("-m", *tiny, *SWEEP, "checkpoint_seconds=0")
    assert broken.code == 0, broken.err
    assert "A pass of 3 runs failed (RuntimeError: broken on purpose); each now goes on solo." in broken.out
    for run_id, record in records(broken.output).items():
        assert record["resources"]["group_size"] == 1
        assert starts(folder_of(broken.output, run_id)) == [0, at]
    assert steps_logged(broken.output) == 3 * STEPS
    healthy(broken.output)


def test_after_a_fault_of_shared_predictions_each_predicts_solo_and_nothing_is_trained_again(
    launch: Callable, tiny: tuple[str, ...], healthy: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    from persona_sweeps.prediction import generation

    generate = generation.generate

    def broken(engine: Any, asked: Any, *rest: Any) -> Any:
        if len({request.trial for request in asked}) > 1:
            raise RuntimeError("broken on purpose")
        return generate(engine, asked, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(generation, "generate", broken)
        ended = launch("-m", *tiny, *SWEEP)
    assert ended.code == 0, ended.err
    assert "A pass of 3 runs failed (RuntimeError: broken on purpose); each now goes on solo." in ended.out
    assert steps_logged(ended.output) == 3 * STEPS
    for run_id, record in records(ended.output).items():
        assert record["resources"]["group_size"] == 3 and starts(folder_of(ended.output, run_id)) == [0]
    healthy(ended.output)


def test_a_run_that_breaks_every_pass_fails_with_what_it_had(
    launch: Callable, tiny: tuple[str, ...], healthy: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Solo at last, it is known to be the one; its history stays, and the same command goes on from its last step."""
    from persona_sweeps.training.engine import Engine

    gather = Engine._accumulate_within_limit

    def broken(engine: Engine, examples: Any) -> Any:
        if any(
            engine.trials[index].adapter.seed == 1 and engine.trials[index].progress.step == 6 for index in examples
        ):
            raise RuntimeError("broken on purpose")
        return gather(engine, examples)

    with monkeypatch.context() as patched:
        patched.setattr(Engine, "_accumulate_within_limit", broken)
        first = launch("-m", *tiny, *SWEEP)
    runs = by_seed(first.output)
    assert first.code == 1 and {seed: run["status"] for seed, run in runs.items()}[1] == "failed"
    guilty = folder_of(first.output, runs[1]["run_id"])
    assert len((guilty / "history.jsonl").read_text().splitlines()) == 6
    again = launch("-m", *tiny, *SWEEP)
    assert again.code == 0 and starts(guilty) == [0, 6, 6]
    healthy(again.output)
    assert again.output.name == OUTPUT
