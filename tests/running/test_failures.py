"""What fails, fails alone, says why, and is tried again by the same command."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest


def test_a_diverging_trial_fails_alone_and_only_it_is_tried_again(launch: Callable, tiny: tuple[str, ...]) -> None:
    sweep = ("-m", *tiny, "train.learning_rate=1e30,1e-3", "sweep.name=nan")
    together = launch(*sweep)
    assert together.code == 1 and "Traceback" not in together.err
    assert together.err.splitlines()[-1].startswith("error: ")
    records = together.by("train", "learning_rate")
    failed, healthy = records[1e30], records[1e-3]
    assert failed["status"] == "failed" and set(failed["failure"]) == {"type", "message", "traceback_tail"}
    assert failed["failure"]["type"] == "Diverged" and "not a finite number" in failed["failure"]["message"]
    assert [cell["state"] for cell in together.sweep("nan")] == ["failed", "completed"]

    solo = launch(*tiny, "train.learning_rate=1e-3", "output_dir=solo")
    (evaluation,) = [json.loads(path.read_text()) for path in solo.folder.glob("solo/runs/*/evaluations/*.json")]
    assert healthy["metrics"] == pytest.approx(evaluation["metrics"], rel=1e-4)

    kept = (together.folder_of(healthy) / "run.json").stat().st_mtime_ns
    again = launch(*sweep)
    assert again.code == 1 and "1 done already, 1 to run" in again.out
    assert (together.folder_of(healthy) / "run.json").stat().st_mtime_ns == kept
    assert (together.folder_of(failed) / "run.log").read_text().count("started") == 2


def test_a_trial_that_diverges_at_its_very_last_step_fails_too(launch: Callable, tiny: tuple[str, ...]) -> None:
    """No later loss shows it, but its predictions do: so its evaluation fails."""
    ended = launch(*tiny, "train.max_steps=1", "train.learning_rate=1e30", "train.warmup_ratio=0")
    (record,) = ended.records()
    assert ended.code == 1 and record["status"] == "completed"
    assert "not a finite number" in record["evaluation"]["failure"]["message"] and not record["metrics"]


def test_a_pass_that_fails_for_all_leaves_each_to_run_solo(
    launch: Callable, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from persona_sweeps.training.engine import Engine

    step = Engine.step

    def fails_in_a_group(engine: Engine) -> Any:
        if len(engine.trials) > 1:
            raise RuntimeError("out of memory")
        return step(engine)

    monkeypatch.setattr(Engine, "step", fails_in_a_group)
    ended = launch("-m", *tiny, "seed=0,1", "train.max_steps=1", "sweep.name=solo")
    assert ended.code == 0, ended.err
    assert "A pass of 2 runs failed (RuntimeError: out of memory); each now goes on solo." in ended.out
    assert [record["resources"]["group_size"] for record in ended.records()] == [1, 1]
    assert [cell["state"] for cell in ended.sweep("solo")] == ["completed"] * 2


def test_a_run_whose_set_up_fails_is_the_only_one_to_fail(
    launch: Callable, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    from persona_sweeps.methods.lora import Lora

    create = Lora.create

    def refuses_seed_1(method: Lora, model: Any, tokenizer: Any, seed: int) -> Any:
        if seed == 1:
            raise RuntimeError("no such layer")
        return create(method, model, tokenizer, seed)

    monkeypatch.setattr(Lora, "create", refuses_seed_1)
    ended = launch("-m", *tiny, "seed=0,1,2", "train.max_steps=1", "sweep.name=one_bad")
    assert ended.code == 1
    assert [cell["state"] for cell in ended.sweep("one_bad")] == ["completed", "failed", "completed"]
    assert ended.by("seed")[1]["failure"]["message"] == "no such layer"


def test_a_bad_cell_stops_a_sweep_before_any_run_starts(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "peft.r=4,8,0")
    assert ended.code == 1 and "In the cell" in ended.err and "peft.r=0 must be at least 1." in ended.err
    assert not (ended.output / "runs").exists()
