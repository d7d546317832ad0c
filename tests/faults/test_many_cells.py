"""Many short runs, some of them poisoned: all others have results, and a run costs little beside its training."""

from __future__ import annotations

import json
import resource
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.results import OUTPUT, evaluations, records

RATES = [f"{step * 1e-4:.1e}" for step in range(1, 20)]
POISON = "1e30"
SHORT = ("train.max_steps=1", "train.warmup_ratio=0", "metrics=[likelihood]", "group_size=50", "sweep.name=many")
LIMIT = 0.2
"""CPU seconds a run, its one step, predictions and evaluation included: twice what was measured, for slower machines"""


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("seeds", [2, 10])
def test_the_poisoned_fail_with_a_reason_and_the_others_have_results(
    command: Callable, tiny: tuple[str, ...], tmp_path: Path, seeds: int
) -> None:
    """After its only step the weights of the poisoned are useless, which their predictions show."""
    (tmp_path / "one").mkdir()
    begun = cpu_seconds()
    assert command("-m", *tiny, *SHORT, "seed=0", folder=tmp_path / "one").code == 0
    single = cpu_seconds() - begun
    rates = f"train.learning_rate={','.join([*RATES, POISON])}"
    ended = command("-m", *tiny, *SHORT, f"seed=range({seeds})", rates, folder=tmp_path)
    whole = cpu_seconds() - begun - single

    cells = seeds * (len(RATES) + 1)
    assert ended.code == 1
    assert f"{cells - seeds} completed, {seeds} failed" in ended.out
    runs, evaluated = records(tmp_path / OUTPUT), evaluations(tmp_path / OUTPUT)
    failed = [evaluation for evaluation in evaluated if evaluation["failure"]]
    assert len(runs) == len(evaluated) == cells and len(failed) == seeds
    assert {runs[found["run_id"]]["config"]["train"]["learning_rate"] for found in failed} == {float(POISON)}
    assert all("not a finite number" in evaluation["failure"]["message"] for evaluation in failed)
    assert all(evaluation["metrics"]["completion_nll"] > 0 for evaluation in evaluated if not evaluation["failure"])
    listed = json.loads((tmp_path / OUTPUT / "sweeps" / "many" / "sweep.json").read_text())["cells"]
    assert [cell["state"] for cell in listed].count("completed") == cells - seeds
    assert (whole - single) / (cells - 1) < LIMIT
