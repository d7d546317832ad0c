"""Carry out a plan: prepare all data first, then run group after group, and keep the sweep's own record true."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_sweeps.config.schema import PlanMode
from persona_sweeps.device import planning_for
from persona_sweeps.errors import UserError
from persona_sweeps.execution.status import Watched, show
from persona_sweeps.execution.target import HERE, Place
from persona_sweeps.lifecycle.writable import require_writable
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.plan import Plan, by_run, make_plan
from persona_sweeps.records.files import write_json
from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.records.identity import RUN_SCHEMA
from persona_sweeps.records.redaction import redacted
from persona_sweeps.running.preparing import Tokenizers
from persona_sweeps.wording import counted

if TYPE_CHECKING:
    from persona_sweeps.planning.preflight import Prediction
    from persona_sweeps.running.context import Context
    from persona_sweeps.running.source import RunSource


def execute(cells: Sequence[Cell], sweep: str | None, earlier: Sequence[Cell] = (), place: Place = HERE) -> Plan:
    """Run what is not done of these cells and return the plan; `sweep` is None for a single run.

    `earlier` are the cells of the same sweep that an earlier batch ran. Raises UserError before any run starts for
    whatever can be known to be wrong by then.
    """
    console = Console()
    plan = make_plan(list(cells))
    folder = Path(cells[0].config.output_dir)
    if cells[0].config.show_examples is not None:
        _show(plan)
        return plan
    if cells[0].config.status is PlanMode.only:
        title = f"Sweep {sweep}" if sweep else "Run"
        show([Watched(cell.name, cell.folder, cell.evaluation_id) for cell in plan.distinct], title, console.terminal)
        return plan
    with planning_for(place.machine):
        predictions = predicted(plan, console) if plan.groups else {}
    console.plan(plan, sweep)
    for note in dict.fromkeys(note for cell in plan.to_do for note in cell.config.peft.notes(cell.config)):
        console.note(note)
    if cells[0].config.plan is PlanMode.only:
        if plan.groups:
            from persona_sweeps.planning.review import review

            review(plan, predictions, console)
        return plan
    if plan.groups:
        require_writable(cells[0].config.output_dir)
    written: list[Path] = []
    files = SweepFolder.of(folder, sweep or "")
    if sweep is not None:
        written.append(files.record)
        _try_write_sweep(written[0], sweep, [*earlier, *cells], console)
    if plan.groups:
        try:
            place.run(plan, predictions, files, console)
        finally:
            if sweep is not None:
                _try_write_sweep(written[0], sweep, [*earlier, *cells], console)
    console.summary(plan, written)
    return plan


def predicted(plan: Plan, console: Console) -> dict[str, Prediction]:
    """Say what each run will take, and divide groups that are too large. Raises UserError when a base can't fit."""
    from persona_sweeps.planning.fit import fit_groups
    from persona_sweeps.planning.obstacles import too_large
    from persona_sweeps.planning.preflight import needs_base, predict

    quiet_libraries()
    predictions = predict(plan)
    needed = [cell for cell in plan.to_do if needs_base(cell)]
    reasons = [too_large(cell.config, predictions[cell.run_id].weights_bytes) for cell in needed]
    if found := [reason for reason in dict.fromkeys(reasons) if reason]:
        raise UserError(" ".join(found))
    return fit_groups(plan, predictions, console)


def train(plan: Plan, context: Context) -> None:
    """Train and evaluate what a plan has to do, group after group, and wait for what other processes have in training.

    Raises Stopped when the process is asked to stop.
    """
    quiet_libraries()
    from persona_sweeps.running.group import run_group

    with context.stop.at_once():
        context.data.all(plan.to_do)
    elsewhere: list[Cell] = []
    for number, group in enumerate(plan.groups, start=1):
        if len(plan.groups) > 1:
            context.console.note(f"Group {number} of {len(plan.groups)}: {counted(len(by_run(group)), 'run')}.")
        elsewhere += run_group(group, context)
    train_the_others(elsewhere, context)


def train_the_others(cells: Sequence[Cell], context: Context, source: RunSource | None = None) -> None:
    """Wait for runs that other processes are training, and train those whose process dies."""
    from persona_sweeps.running.checkpointing import wait_for_one
    from persona_sweeps.running.group import run_group
    from persona_sweeps.running.source import Solo

    left = list(cells)
    while left:
        context.console.note(f"Waiting for {counted(len(left), 'run')} that other processes are training.")
        with context.stop.at_once():
            free = wait_for_one(left)
        left = [cell for cell in left if cell not in free]
        for cell in free:
            left += run_group([cell], context, Solo(source) if source is not None else None)


def _show(plan: Plan) -> None:
    """Print rendered training examples of every distinct data set and model; train nothing."""
    quiet_libraries()
    from persona_sweeps.data.show import show_examples

    console, tokenizers = Console(), Tokenizers()
    shown: set[int] = set()
    for cell in plan.distinct:
        prepared = tokenizers.prepared(cell)
        if id(prepared) not in shown:
            shown.add(id(prepared))
            console.note(f"{cell.config.model.name}, {cell.config.dataset.source}:")
            tokenizer, _ = tokenizers.get(cell.config.model)
            show_examples(prepared, tokenizer, cell.config.show_examples or 0, console.terminal)


def _rows(cells: Sequence[Cell]) -> list[Mapping[str, Any]]:
    """Return the cells of a sweep as its record lists them, with the states that their own records tell."""
    output_dir = Path(cells[0].config.output_dir)
    return [
        {
            "overrides": list(cell.overrides),
            "run_id": cell.run_id,
            "evaluation_id": cell.evaluation_id,
            "folder": str(cell.folder.path.relative_to(output_dir)),
            "state": cell.outcome.status,
        }
        for cell in cells
    ]


def _try_write_sweep(path: Path, sweep: str, cells: Sequence[Cell], console: Console) -> None:
    try:
        write_sweep(path, sweep, _rows(cells))
    except OSError as error:  # runs have records of their own: a list of them isn't worth a sweep
        console.note(f"{path} couldn't be written: {error}.")


def write_sweep(
    path: Path, sweep: str, rows: Sequence[Mapping[str, Any]], studies: Mapping[str, Any] | None = None
) -> None:
    """Write sweep.json: the command, its studies, and its cells in order with their run ids and states."""
    command = " ".join(["launch.py", *sys.argv[1:]])
    about = {"schema_version": RUN_SCHEMA, "name": sweep, "command": command}
    write_json(path, redacted({**about, **({"studies": studies} if studies else {}), "cells": rows}))


def quiet_libraries() -> None:
    """Silence progress bars and advice that mean nothing to someone who watches a sweep."""
    import logging
    import os

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    import datasets
    from transformers.utils import logging as transformers_logging

    from persona_sweeps.models.quantization import hush

    datasets.disable_progress_bars()
    transformers_logging.set_verbosity_error()
    logging.getLogger("absl").setLevel(logging.WARNING)
    hush()


def failures(plan: Plan) -> list[Cell]:
    """Return the runs of a plan that have no result; a full disk may even keep a record from saying so."""
    return [cell for cell in plan.distinct if cell.outcome.status not in ("completed", "pruned")]
