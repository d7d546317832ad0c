"""Carry out the cells of a command: plan them, have what is missing done, and keep the sweep's own record true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from persona_sweeps.config.schema import PlanMode
from persona_sweeps.data import corpus_of
from persona_sweeps.device import planning_for
from persona_sweeps.errors import UserError
from persona_sweeps.execution.launch_target import THIS_PROCESS, LaunchTarget
from persona_sweeps.execution.quiet import quiet_libraries
from persona_sweeps.execution.status import Watched, show
from persona_sweeps.lifecycle.writable import require_writable
from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.console import Console
from persona_sweeps.planning.plan import Plan, make_plan
from persona_sweeps.planning.preflight import Predictions
from persona_sweeps.planning.progress import weights
from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.records.sweep import other_cells, write_sweep
from persona_sweeps.tracking.follower import Row, Trackers, following
from persona_sweeps.wording import pluralize


def execute(cells: Sequence[Cell], sweep: str | None, target: LaunchTarget = THIS_PROCESS) -> Plan:
    """Run what is not done of these cells and return the plan; `sweep` is None for a single run.

    Raises UserError before any run starts for whatever can be known to be wrong by then; with plan=only, obstacles are
    printed and left on the plan's cells.
    """
    console = Console()
    plan = make_plan(list(cells))
    config = cells[0].config
    if config.show_examples is not None:
        _note_all(console, _notes_on_data(plan))
        _show_examples(plan, config.show_examples)
    elif config.dataset.report == "only":
        _note_all(console, _notes_on_data(plan))
        _report_data(plan)
    elif config.status is PlanMode.only:
        title = f"Sweep {sweep}" if sweep else "Run"
        show([Watched(cell.name, cell.folder, cell.evaluation_id) for cell in plan.distinct], title, console.terminal)
    elif config.plan is PlanMode.only:
        _review(plan, sweep, target, console)
    else:
        _run(plan, sweep, target, console)
    return plan


def _review(plan: Plan, sweep: str | None, target: LaunchTarget, console: Console) -> None:
    """Print what each run would take, and what keeps it from running here."""
    from persona_sweeps.planning.fit import predict_and_fit
    from persona_sweeps.planning.review import review
    from persona_sweeps.planning.shared_items import not_shared

    if not plan.groups:
        _say(plan, sweep, console)
        return
    quiet_libraries()
    with planning_for(target.machine):
        predictions = predict_and_fit(plan, console)
        not_alike = list(not_shared(plan))
        for cell in plan.to_do:
            cell.obstacles = (*cell.obstacles, *target.obstacles)
        _say(plan, sweep, console)
        _note_all(console, not_alike)
        review(plan, predictions, console, is_for_this_machine=target.machine is None)


def _run(plan: Plan, sweep: str | None, target: LaunchTarget, console: Console) -> None:
    from persona_sweeps.planning.fit import predict_runnable
    from persona_sweeps.planning.shared_items import not_shared

    predictions: Predictions = {}
    not_alike: list[str] = []
    if plan.groups:
        require_writable(plan.cells[0].config.output_dir)
        if target.obstacles:
            raise UserError(" ".join(obstacle.sentence for obstacle in target.obstacles))
        quiet_libraries()
        with planning_for(target.machine):
            predictions = predict_runnable(plan, console)
            not_alike = list(not_shared(plan))
    _say(plan, sweep, console)
    _note_all(console, not_alike)
    console.expect(weights(predictions))
    files = SweepFolder.of(plan.cells[0].config.output_dir, sweep or "")
    if sweep is not None:
        _try_write_sweep(files, sweep, plan.cells, console)
    with following(*_shown(plan), console.note, is_sweep=sweep is not None):
        if plan.groups:
            try:
                _carry_out(plan, predictions, target, files, console)
            finally:
                if sweep is not None:
                    _try_write_sweep(files, sweep, plan.cells, console)
    console.summary(plan, [files.record] if sweep is not None else [])


def _shown(plan: Plan) -> tuple[Trackers, Path, str, Sequence[Row]]:
    """Return what trackers show of a plan: its trackers, where its runs are, the name of the sweep, and its cells."""
    first = plan.cells[0]
    trackers = {name: tracker for cell in plan.cells for name, tracker in cell.config.tracker.items()}
    return trackers, Path(first.config.output_dir), first.config.sweep.name, _rows(plan.cells)


def _say(plan: Plan, sweep: str | None, console: Console) -> None:
    """Say what is to be done, and what the sweep has of earlier commands."""
    console.plan(plan, sweep)
    _note_all(console, _notes_on_data(plan))
    if sweep is None:
        return
    others = other_cells(SweepFolder.of(plan.cells[0].config.output_dir, sweep), _rows(plan.cells))
    if others:
        console.note(
            f"The sweep keeps {pluralize(len(others), 'other cell')} that it has already; another sweep.name keeps "
            "these apart."
        )


def _notes_on_data(plan: Plan) -> list[str]:
    return list(dict.fromkeys(note for cell in plan.distinct for note in corpus_of(cell.config).notes))


def _note_all(console: Console, sentences: Sequence[str]) -> None:
    for sentence in sentences:
        console.note(sentence)


def _carry_out(
    plan: Plan, predictions: Predictions, target: LaunchTarget, files: SweepFolder, console: Console
) -> None:
    """Have a plan carried out. Raises Stopped when the process is asked to stop."""
    if target.backend is None:
        from persona_sweeps.execution.in_process import carry_out
        from persona_sweeps.running.context import Context

        carry_out(plan, Context.of(console))
        return
    from persona_sweeps.execution.plan_work import PlanWork
    from persona_sweeps.execution.supervisor import Supervisor

    work = PlanWork(plan, console, target.max_retries, target.search_path)
    backend = target.backend(files.job_logs, predictions)
    Supervisor(work, backend, files, console, target.poll_seconds).run()


def _report_data(plan: Plan) -> None:
    """Print what the data of each distinct data set and model are; train nothing."""
    quiet_libraries()
    from persona_sweeps.data.inspection.report import report
    from persona_sweeps.planning.token_counts import has_tokenizer
    from persona_sweeps.running.preparing import Tokenizers

    console, tokenizers = Console(), Tokenizers()
    seen: set[tuple[int, int]] = set()
    for cell in plan.distinct:
        corpus = corpus_of(cell.config)
        prepared = tokenizers.prepared(cell) if cell.weights and has_tokenizer(cell.config, cell.weights) else None
        if (id(corpus), id(prepared)) not in seen:
            seen.add((id(corpus), id(prepared)))
            console.note(f"{cell.config.model.name}, {cell.config.dataset.label}:")
            report(corpus, cell.config.dataset.evaluate_on, prepared, console.terminal)


def _show_examples(plan: Plan, count: int) -> None:
    """Print rendered training examples of every distinct data set and model; train nothing."""
    quiet_libraries()
    from persona_sweeps.data.inspection.own_system import own_system_note
    from persona_sweeps.data.inspection.show import show_examples
    from persona_sweeps.running.preparing import Tokenizers

    console, tokenizers = Console(), Tokenizers()
    shown: set[int] = set()
    for cell in plan.distinct:
        prepared = tokenizers.prepared(cell)
        if id(prepared) not in shown:
            shown.add(id(prepared))
            console.note(f"{cell.config.model.name}, {cell.config.dataset.source}:")
            tokenizer, _ = tokenizers.get(cell.config.model)
            raw = cell.config.dataset.template == "raw"
            note = None if raw else own_system_note(cell.config.model.name, tokenizer, corpus_of(cell.config).train)
            if note:
                console.note(note)
            show_examples(prepared, tokenizer, count, console.terminal)


def _try_write_sweep(files: SweepFolder, sweep: str, cells: Sequence[Cell], console: Console) -> None:
    try:
        write_sweep(files, sweep, _rows(cells))
    except OSError as error:  # runs have records of their own: a list of them isn't worth a sweep
        console.note(f"{files.record} couldn't be written: {error}.")


def _rows(cells: Sequence[Cell]) -> list[Mapping[str, Any]]:
    """Return the cells of a sweep as its record lists them, with the states that their own records have."""
    return [row_of(cell) | {"state": cell.outcome.status} for cell in cells]


def row_of(cell: Cell) -> dict[str, Any]:
    """Return a cell as a sweep's record lists it."""
    return {
        "overrides": list(cell.overrides),
        "run_id": cell.run_id,
        "evaluation_id": cell.evaluation_id,
        "folder": str(cell.folder.path.relative_to(cell.config.output_dir)),
    }


def failures(plan: Plan) -> list[Cell]:
    """Return the runs of a plan that have no result; a full disk may even keep a record from saying so."""
    return [cell for cell in plan.distinct if cell.outcome.status not in ("completed", "pruned")]
