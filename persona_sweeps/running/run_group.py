"""Carry out a group; after an error in a shared pass, every unfinished run goes on solo.

So only the run that causes the error fails.
"""

from __future__ import annotations

from collections.abc import Sequence

from persona_sweeps.planning.cells import Cell, Stage
from persona_sweeps.planning.plan import by_run
from persona_sweeps.running.context import Context
from persona_sweeps.running.group import Group
from persona_sweeps.running.source import NoMoreRuns, RunSource, SoloSource
from persona_sweeps.running.without_model import WithoutModel


def run_group(
    cells: Sequence[Cell], context: Context, source: RunSource | None = None, size: int | None = None
) -> list[Cell]:
    """Carry out a group, and the further runs of `source`, at most `size` (by default as many as these) at a time.

    Return the cells that were left out because another process is working on their runs. Raises Stopped if the process
    is asked to stop, after saving what was in training; otherwise raises only what ends the process.
    """
    with context.stop.later():
        return _run_group(cells, context, source, size)


def _run_group(cells: Sequence[Cell], context: Context, source: RunSource | None, size: int | None) -> list[Cell]:
    from persona_sweeps.training.memory import release_memory, with_advice

    source = source or NoMoreRuns()
    first = cells[0].config
    group = _group_class(cells[0])(context, source, size or len(by_run(cells)), first.checkpoint_seconds)
    try:
        group.run(cells)
        return group.elsewhere
    except Exception as error:
        unfinished = by_run(group.unfinished(cells))
        if not unfinished:  # no run is to blame
            raise
        if len(unfinished) == 1:
            group.fail_solo(unfinished[0], with_advice(error))
            return group.elsewhere
        context.console.note(
            f"A pass of {len(unfinished)} runs failed ({type(error).__name__}: {error}); each now goes on solo."
        )
    # Here the error is gone, and with its traceback the frames that held the group's trials and tensors.
    elsewhere = group.elsewhere
    del group
    release_memory()
    for run_cells in unfinished:
        elsewhere += _run_group(run_cells, context, SoloSource(source), None)
    return elsewhere


def _group_class(cell: Cell) -> type[Group]:
    """Return the class that carries out the group of a cell."""
    return Group if cell.config.peft.has_model and cell.stage is not Stage.score else WithoutModel
