"""Which run is meant: a folder, a name, the beginning of an id, or the best of a sweep."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from persona_sweeps.analysis_package import analysis_module
from persona_sweeps.errors import UserError
from persona_sweeps.records.folders import OUTPUT_DIR, RunFolder


def run_folder(run: str | Path, output_dir: str | Path = OUTPUT_DIR) -> RunFolder:
    """Return the folder that a path, a run's name, its id, or the beginning of it means. Raises `UserError`."""
    if Path(run).is_dir():
        return RunFolder(Path(run))
    read = analysis_module("read.selection").read_all(Path(output_dir))
    if not read.results:
        raise UserError(f"No run is called {str(run)!r}: there is none under {output_dir}.")
    return RunFolder(analysis_module("read.find").find(str(run), read.runs(), "run").folder)


def best_run(
    sweep: str, metric: str | None = None, where: Sequence[str] = (), output_dir: str | Path = OUTPUT_DIR
) -> tuple[RunFolder, str]:
    """Return the best seed of a sweep's best setting that trained, and a sentence on how it was chosen.

    `metric` is what to go by, as in `analyze --metric`, and `where` narrows the runs (`dataset.persona=Hamlet`).
    Raises `UserError` where nothing can be chosen, or not one.
    """
    conditions = analysis_module("read.where")
    selection = analysis_module("read.selection").read_sweep(Path(output_dir), sweep)
    if where:
        selection = conditions.restrict(selection, conditions.parse(list(where), selection.results))
    measure = None
    if metric is not None:
        measure = analysis_module("commands.options").resolve_metric(metric, selection.results, to_rank=True).name
    won = analysis_module("statistics.winner").winner(selection.results, measure)
    return RunFolder(won.result.folder), f"Best of sweep {sweep}: {won}."
