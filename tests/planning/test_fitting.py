"""Groups that are too large for the memory run in parts, and the plan says so."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from persona_sweeps import device
from persona_sweeps.device import devices_for, memory_for, total_memory_bytes
from persona_sweeps.planning import fit as fitting
from persona_sweeps.planning import review
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.fit import fit_groups
from persona_sweeps.planning.plan import Plan, make_plan
from persona_sweeps.planning.preflight import group_bytes, predict
from persona_sweeps.planning.review import group_memory


@pytest.fixture
def plan(make_cell: Callable, tiny: tuple[str, ...]) -> Plan:
    """One group of five runs."""
    return make_plan([make_cell(*tiny, "peft=lora", "peft.r=64", f"seed={seed}") for seed in range(5)])


@pytest.fixture
def no_overhead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count the way a GPU's memory is counted: a tiny twin is nothing beside the program's own memory."""
    monkeypatch.setattr(review, "group_bytes", lambda predictions, on_cpu: group_bytes(predictions, False))


def with_memory(monkeypatch: pytest.MonkeyPatch, memory: int | None) -> None:
    monkeypatch.setattr(fitting, "memory_for", lambda weights, device: memory)


@pytest.mark.parametrize("share", [0.3, 0.5, 0.8, 0.99, 1.0])
def test_groups_are_divided_until_each_fits_and_no_run_is_lost(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, no_overhead: None, share: float, capsys: pytest.CaptureFixture[str]
) -> None:
    predictions = predict(plan)
    (whole,) = plan.groups
    memory = round(group_memory(whole, predictions) * share)
    with_memory(monkeypatch, memory)
    found = fit_groups(plan, predictions, Console())
    assert [cell for group in plan.groups for cell in group] == whole and set(found) == {c.run_id for c in whole}
    assert all(len(group) == 1 or group_memory(group, found) <= memory for group in plan.groups)
    assert (len(plan.groups) == 1) == (share == 1.0)
    printed = " ".join(capsys.readouterr().out.split())
    assert (f"they run as {len(plan.groups)} groups" in printed) == (share < 1.0)


def test_runs_whose_passes_are_too_large_alone_still_run_and_it_is_said(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, no_overhead: None, capsys: pytest.CaptureFixture[str]
) -> None:
    with_memory(monkeypatch, 1000)
    fit_groups(plan, predict(plan), Console())
    assert [len(group) for group in plan.groups] == [1] * 5
    assert "Even one may be too large" in " ".join(capsys.readouterr().out.split())


def test_unknown_memory_divides_nothing(plan: Plan, monkeypatch: pytest.MonkeyPatch, no_overhead: None) -> None:
    with_memory(monkeypatch, None)
    predictions = predict(plan)
    assert fit_groups(plan, predictions, Console()) == predictions and len(plan.groups) == 1


def test_the_plan_in_print_and_the_runs_have_the_groups_as_they_fit(
    launch: Callable, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, no_overhead: None
) -> None:
    with_memory(monkeypatch, 1000)
    sweep = ("-m", *tiny, "peft=lora", "train.max_steps=1", "seed=0,1")
    planned = launch(*sweep, "plan=only")
    assert planned.code == 0 and "2 to run in 2 groups" in planned.out
    assert "Group 2: 1 run of" in planned.out and "they run as 2 groups" in planned.out
    ended = launch(*sweep)
    assert ended.code == 0 and "Group 1 of 2: 1 run." in ended.out
    assert [record["resources"]["group_size"] for record in ended.records()] == [1, 1]


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend GPUs with so many bytes each."""

    def pretend(*memories: int) -> None:
        monkeypatch.setattr(device, "device_count", lambda: len(memories))
        monkeypatch.setattr(device, "_cuda_memory", lambda index: memories[index])

    return pretend


def test_weights_beyond_one_gpu_are_spread_over_all(gpus: Callable[..., None]) -> None:
    gpus(80, 80, 40)
    assert total_memory_bytes("cuda") == 200
    assert [devices_for(weights, "cuda") for weights in (1, 80, 81, 500)] == [1, 1, 3, 3]
    assert [memory_for(weights, "cuda") for weights in (80, 81)] == [80, 200]
    assert devices_for(10**18, "cpu") == 1 and memory_for(1, "cpu") == device.memory_bytes("cpu")
    gpus(80)
    assert devices_for(81, "cuda") == 1 and memory_for(81, "cuda") == 80


def test_a_base_model_that_is_spread_is_said_to_be_and_one_that_fits_nowhere_is_an_obstacle(
    make_cell: Callable, tiny: tuple[str, ...], gpus: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    from persona_sweeps.planning import obstacles

    plan = make_plan([make_cell(*tiny, "peft=lora")])
    predictions = predict(plan)
    (weights,) = {found.weights_bytes for found in predictions.values()}
    gpus(weights - 1, weights - 1)
    for module in (review, fitting, obstacles):
        monkeypatch.setattr(module, "resolve_device", lambda kind: "cuda")
    monkeypatch.setattr(obstacles, "device_count", lambda: 2)
    assert "of memory, spread over 2 GPUs" in review._group_line(1, plan.groups[0], predictions)
    assert obstacles.too_large(plan.groups[0][0].config, weights) is None
    assert "the 2 GPUs have together" in str(obstacles.too_large(plan.groups[0][0].config, 2 * weights))
