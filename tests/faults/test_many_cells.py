"""Many short runs, some of them poisoned: all others have results, and a run costs little beside its training."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.results import OUTPUT, records

RATES = [f"{step * 1e-4:.1e}" for step in range(1, 20)]
POISON = "1e30"
SHORT = ("train.max_steps=1", "train.warmup_ratio=0", "metrics=[likelihood]", "group_size=50", "sweep.name=many")
SEEDS = 5
LIMIT = 0.2
"""CPU seconds a run, its one step and its evaluation included: twice what was measured, for slower machines"""


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
def test_the_poisoned_fail_with_a_reason_and_the_others_have_results(
    command: Callable, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "one").mkdir()
    begun = cpu_seconds()
    assert command("-m", *tiny, *SHORT, "seed=0", folder=tmp_path / "one").code == 0
    alone = cpu_seconds() - begun
    rates = f"train.learning_rate={','.join([*RATES, POISON])}"
    ended = command("-m", *tiny, *SHORT, f"seed=range({SEEDS})", rates, folder=tmp_path)
    whole = cpu_seconds() - begun - alone

    cells = SEEDS * (len(RATES) + 1)
    assert ended.code == 1
    assert f"{cells - SEEDS} completed, {SEEDS} failed" in ended.out
    runs = records(tmp_path / OUTPUT).values()
    failed = [run for run in runs if run["status"] == "failed"]
    assert len(runs) == cells and len(failed) == SEEDS
    assert {run["config"]["train"]["learning_rate"] for run in failed} == {float(POISON)}
    assert all("not a finite number" in run["failure"]["message"] for run in failed)
    assert all(run["metrics"]["completion_nll"] > 0 for run in runs if run["status"] == "completed")
    listed = json.loads((tmp_path / OUTPUT / "sweeps" / "many" / "sweep.json").read_text())["cells"]
    assert [cell["state"] for cell in listed].count("completed") == cells - SEEDS
    assert (whole - alone) / (cells - 1) < LIMIT
