"""Fit groups into memory: what would be too large together runs in parts, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from persona_sweeps.device import memory_for, resolve_device
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.obstacles import too_large
from persona_sweeps.planning.plan import Plan, by_run, halves
from persona_sweeps.planning.preflight import Predictions, needs_base, predict, predict_group
from persona_sweeps.planning.review import group_memory, refuse_blocked
from persona_sweeps.wording import size


def predict_runnable(plan: Plan, console: Console) -> Predictions:
    """Do as `predict_and_fit` does. Raises UserError, with each reason once, when a run can't run on this machine."""
    refuse_blocked(plan.cells)
    predictions = predict_and_fit(plan, console)
    refuse_blocked(plan.cells)
    return predictions


def predict_and_fit(plan: Plan, console: Console) -> Predictions:
    """Return what each run that is to do will take, and divide groups that are too large.

    A run that exceeds the memory whatever is done has that as an obstacle.
    """
    predictions = predict(plan)
    for cell in plan.to_do:
        if needs_base(cell) and cell.run_id in predictions:
            prediction = predictions[cell.run_id]
            obstacle = too_large(cell.config, prediction.weights_bytes, prediction.state_bytes)
            if obstacle is not None:
                cell.obstacles = (*cell.obstacles, obstacle)
    return fit_groups(plan, predictions, console)


def fit_groups(plan: Plan, predictions: Predictions, console: Console) -> Predictions:
    """Halve the plan's groups until each fits into memory or is a single run, and say so; return the predictions then.

    What a pass takes depends on how many trials share it, so the parts are predicted anew.
    """
    fitting: Predictions = {}
    groups: list[list[Cell]] = []
    for group in plan.groups:
        if any(cell.obstacles for cell in group):  # it doesn't run anyway
            parts = [(group, {cell.run_id: predictions[cell.run_id] for cell in group if cell.run_id in predictions})]
        else:
            parts = _parts(group, predictions)
            if memory := _exceeded(group, predictions):
                console.note(_division(group, parts, predictions, memory))
        groups += [part for part, _ in parts]
        for _, of_part in parts:
            fitting |= of_part
    plan.groups = groups
    return fitting


def _parts(group: list[Cell], predictions: Predictions) -> list[tuple[list[Cell], Predictions]]:
    if len(by_run(group)) == 1 or not _exceeded(group, predictions):
        return [(group, {cell.run_id: predictions[cell.run_id] for cell in group})]
    return [part for half in halves(group) for part in _parts(half, predict_group(half))]


def _exceeded(group: Sequence[Cell], predictions: Predictions) -> int | None:
    """Return the memory that a group is too large for; None where it fits or nothing is known."""
    device = resolve_device(group[0].config.device)
    memory = memory_for(predictions[group[0].run_id].weights_bytes, device)
    return memory if memory is not None and group_memory(group, predictions) > memory else None


def _division(
    group: Sequence[Cell], parts: Sequence[tuple[list[Cell], Predictions]], predictions: Predictions, memory: int
) -> str:
    name = group[0].config.model.name
    count = len(by_run(group))
    runs = f"{count} runs of {name} together" if count > 1 else f"One run of {name}"
    start = (
        f"{runs} would take about {size(group_memory(group, predictions))} of memory, more than the {size(memory)} here"
    )
    then = f": they run as {len(parts)} groups." if len(parts) > 1 else "."
    if any(_exceeded(part, of_part) for part, of_part in parts):
        then += " Even one may be too large: what runs out of memory is done again in smaller batches."
    return start + then
