"""Carry out a plan in this process: group after group, and then what other processes had in training."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from persona_sweeps.execution.quiet import quiet_libraries
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.plan import Plan, by_run
from persona_sweeps.wording import pluralize

if TYPE_CHECKING:
    from persona_sweeps.running.context import Context
    from persona_sweeps.running.source import RunSource


def carry_out(plan: Plan, context: Context) -> None:
    """Train and evaluate what a plan has to do; wait for what other processes have in training.

    Raises Stopped when the process is asked to stop.
    """
    quiet_libraries()
    from persona_sweeps.running.run_group import run_group

    with context.stop.at_once():
        context.data.all(plan.to_do)
    elsewhere: list[Cell] = []
    for number, group in enumerate(plan.groups, start=1):
        if len(plan.groups) > 1:
            context.console.note(f"Group {number} of {len(plan.groups)}: {pluralize(len(by_run(group)), 'run')}.")
        elsewhere += run_group(group, context)
        context.console.best_so_far()
    wait_for_others(elsewhere, context)


def wait_for_others(cells: Sequence[Cell], context: Context, source: RunSource | None = None) -> None:
    """Wait for runs that other processes are training, and train those whose process dies."""
    from persona_sweeps.running.checkpointing import wait_for_one
    from persona_sweeps.running.run_group import run_group
    from persona_sweeps.running.source import SoloSource

    left = list(cells)
    while left:
        context.console.note(f"Waiting for {pluralize(len(left), 'run')} that other processes are training.")
        with context.stop.at_once():
            free = wait_for_one(left)
        left = [cell for cell in left if cell not in free]
        for cell in free:
            left += run_group([cell], context, SoloSource(source) if source is not None else None)
