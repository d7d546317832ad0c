"""Fit groups into memory: what would be too large together runs in parts, one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from persona_sweeps.device import memory_for, resolve_device
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.plan import Plan, by_run, halves
from persona_sweeps.planning.preflight import Prediction, predict_group
from persona_sweeps.planning.review import group_memory, size

Predictions = dict[str, Prediction]
"""by run id"""


def fit_groups(plan: Plan, predictions: Predictions, console: Console) -> Predictions:
    """Halve the plan's groups until each fits into memory or is a single run, and tell; return the predictions then.

    What a pass takes depends on how many trials share it, so the parts are predicted anew.
    """
    found: Predictions = {}
    fitted: list[list[Cell]] = []
    for group in plan.groups:
        parts = _parts(group, predictions)
        fitted += [part for part, _ in parts]
        for _, own in parts:
            found |= own
        if memory := _exceeded(group, predictions):
            console.note(_told(group, parts, predictions, memory))
    plan.groups = fitted
    return found


def _parts(group: list[Cell], predictions: Predictions) -> list[tuple[list[Cell], Predictions]]:
    if len(by_run(group)) == 1 or not _exceeded(group, predictions):
        return [(group, {cell.run_id: predictions[cell.run_id] for cell in group})]
    return [found for half in halves(group) for found in _parts(half, dict(predict_group(half)))]


def _exceeded(group: Sequence[Cell], predictions: Predictions) -> int | None:
    """Return the memory that a group is too large for; None where it fits or nothing is known."""
    device = resolve_device(group[0].config.device)
    memory = memory_for(predictions[group[0].run_id].weights_bytes, device)
    return memory if memory is not None and group_memory(group, predictions) > memory else None


def _told(
    group: Sequence[Cell], parts: Sequence[tuple[list[Cell], Predictions]], predictions: Predictions, memory: int
) -> str:
    name = group[0].config.model.name
    count = len(by_run(group))
    runs = f"{count} runs of {name} together" if count > 1 else f"One run of {name}"
    start = (
        f"{runs} would take about {size(group_memory(group, predictions))} of memory, more than the {size(memory)} here"
    )
    then = f": they run as {len(parts)} groups." if len(parts) > 1 else "."
    if any(_exceeded(part, own) for part, own in parts):
        then += " Even one may be too large: what runs out of memory is done again in smaller batches."
    return start + then
