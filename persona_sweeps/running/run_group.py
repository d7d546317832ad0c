"""Have a group carried out: an error in a pass that all share makes every unfinished run go on solo.

So the one to blame is found, and fails alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from persona_sweeps.planning.cells import Cell, Stage
from persona_sweeps.planning.plan import by_run
from persona_sweeps.running.context import Context
from persona_sweeps.running.group import Group
from persona_sweeps.running.source import Listed, RunSource, Solo
from persona_sweeps.running.without_model import WithoutModel


def run_group(
    cells: Sequence[Cell], context: Context, source: RunSource | None = None, size: int | None = None
) -> list[Cell]:
    """Carry out a group, and what `source` has to follow it, at most `size` (or as many as these) runs at a time.

    Returns the cells that were left, since another process is at work on their runs. Raises Stopped when the process is
    asked to stop, with all that was in training saved, and else nothing but what ends the process.
    """
    with context.stop.later():
        return _run_group(cells, context, source, size)


def _run_group(cells: Sequence[Cell], context: Context, source: RunSource | None, size: int | None) -> list[Cell]:
    from persona_sweeps.training.memory import release_memory, with_advice

    source = source or Listed()
    first = cells[0].config
    group = _kind(cells[0])(context, source, size or len(by_run(cells)), first.checkpoint_seconds)
    try:
        group.run(cells)
        return group.elsewhere
    except Exception as error:
        unfinished = by_run(group.unfinished(cells))
        if not unfinished:  # no run's fault
            raise
        if len(unfinished) == 1:
            group.fail_solo(unfinished[0], with_advice(error))
            return group.elsewhere
        context.console.note(
            f"A pass of {len(unfinished)} runs failed ({type(error).__name__}: {error}); each now goes on solo."
        )
    # Out here the error is gone, and with its traceback the frames that held the group's trials and tensors.
    elsewhere = group.elsewhere
    del group
    release_memory()
    for own in unfinished:
        elsewhere += _run_group(own, context, Solo(source), None)
    return elsewhere


def _kind(cell: Cell) -> type[Group]:
    """Return what carries out a cell and those of its group."""
    return Group if cell.config.peft.has_model and cell.stage is not Stage.score else WithoutModel
