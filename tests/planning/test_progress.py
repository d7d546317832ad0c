"""How much is done and when the rest will be; and how long a plan takes by the speed of this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from persona_sweeps.models.activations import Shape
from persona_sweeps.planning import progress, speed
from persona_sweeps.planning.duration import SHARE, Work, group_seconds
from persona_sweeps.planning.progress import SweepProgress, Weight
from persona_sweeps.planning.speed import Speed, measured_speed

SHAPE = Shape(1000, 64, 128, 2, 4, 4, 16, 64, 4)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_the_time_left_is_that_of_the_work_that_is_left(clock: list[float]) -> None:
    sweep = SweepProgress({"a": Weight(6.0, 2.0), "b": Weight(6.0, 2.0)})
    assert sweep.seconds_left() is None and sweep.share == 0
    for run in "ab":
        sweep.begin(run, 10)
    assert sweep.seconds_left() is None, "there is no pace yet"
    clock[0] = 30.0
    for run in "ab":
        for step in range(1, 6):
            sweep.step(run, step)
    assert sweep.share == pytest.approx(6 / 16) and sweep.seconds_left() == pytest.approx(30 / 6 * 10)
    clock[0] = 80.0
    sweep.end("a")
    sweep.end("b")
    assert sweep.share == 1 and sweep.seconds_left() == 0


def test_what_an_earlier_command_did_counts_as_done_but_not_for_the_pace(clock: list[float]) -> None:
    sweep = SweepProgress({"a": Weight(10.0, 0.0)})
    sweep.begin("a", 10)
    clock[0] = 5.0
    sweep.step("a", 9)  # it went on from step 8
    assert sweep.share == pytest.approx(0.9) and sweep.seconds_left() == pytest.approx(5.0)


def test_a_group_shares_small_operations_and_adds_up_the_others() -> None:
    one = Work(4e9, 1e9, 1e9, calls=1000)
    machine = Speed(1e9, 1e8, 1e-3)
    assert group_seconds([one], machine) == pytest.approx((5 + 10) / SHARE + 1)
    assert group_seconds([one, one], machine) == pytest.approx(2 * (5 + 10) / SHARE + 1)
    assert group_seconds([], machine) == 0


def test_a_speed_is_measured_once_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONA_SWEEPS_CACHE", str(tmp_path))
    monkeypatch.setattr(speed, "ENOUGH", 0.01)
    found = measured_speed(SHAPE, torch.float32, "cpu")
    assert found.flops > 0 and found.few_rows_flops > 0 and 0 < found.call_seconds < 1
    monkeypatch.setattr(speed, "_measure", lambda *_: pytest.fail("it was measured again"))
    assert measured_speed(SHAPE, torch.float32, "cpu") == found
    monkeypatch.undo()
    monkeypatch.setenv("PERSONA_SWEEPS_CACHE", str(tmp_path))
    monkeypatch.setattr(speed, "ENOUGH", 0.01)
    measured_speed(replace(SHAPE, hidden=32), torch.float32, "cpu")
    assert len(json.loads((tmp_path / "speed.json").read_text())) == 2, "another width, another speed"
    (tmp_path / "speed.json").write_text("garbage")
    assert measured_speed(SHAPE, torch.float32, "cpu").flops > 0


@pytest.mark.slow
@pytest.mark.long
def test_a_plan_says_how_long_it_takes_here_and_what_takes_longer(launch: Callable) -> None:
    def minutes(*overrides: str) -> float:
        ended = launch("-m", "plan=only", "dataset.limit=40", *overrides)
        (line,) = [line for line in ended.out.splitlines() if line.startswith("Time: about ")]
        number, unit = line.removeprefix("Time: about ").split()[:2]
        return float(number) * {"s": 1 / 60, "min": 1, "h": 60}[unit]

    short, long = minutes("train.max_steps=10", "metrics=likelihood"), minutes("train.max_steps=1000", "seed=0,1")
    assert 0 < short < long
    assert "Time:" not in launch("-m", "plan=only", "model.scale=tiny").out


@pytest.mark.slow
def test_lines_in_a_pipe_say_when_all_will_be_done(
    launch: Callable, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("persona_sweeps.planning.console.LINE_EVERY", 0.0)
    printed = launch("-m", *tiny, "seed=0,1", "group_size=1").out
    lines = [line for line in printed.splitlines() if ": step " in line]
    assert any("; 0 of 2 runs done, " in line and line.endswith(" left") for line in lines)
    assert any("; 1 of 2 runs done, " in line for line in lines)
    solo = launch(*tiny, "seed=3").out
    assert " left" in solo and "runs done" not in solo
