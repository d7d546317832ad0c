"""Run a sweep from Python, and read the results of runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser

from persona_sweeps.analysis_package import analysis_module
from persona_sweeps.cli.launch import main
from persona_sweeps.config.folder import conf_folder
from persona_sweeps.errors import UserError
from persona_sweeps.records.folders import OUTPUT_DIR

if TYPE_CHECKING:
    from collections.abc import Sequence

    from analysis.read.results import RunResult

REPORTS = ("plan=only", "status=only", "dataset.report=only")
"""overrides with which a command reports something and runs nothing"""


def sweep(*overrides: str, output_dir: str | Path = OUTPUT_DIR) -> Sequence[RunResult]:
    """Run a sweep in this process, as `persona-sweeps sweep -m …` does, and return its results in order.

    `overrides` are those of the command line. What is done already isn't done again, and an interrupted sweep goes on.
    Raises `UserError` with one sentence for a mistake, before anything starts, and where runs failed, in the end: then
    `load_runs` has the others.

    >>> from persona_sweeps import sweep
    >>> runs = sweep("model.scale=tiny", "peft=none,lora", "train.max_steps=2", "metrics=likelihood")
    Sweep ...
    >>> [run.get("predictor.label") for run in runs]
    ['untuned', 'LoRA r=16 α=32']
    """
    arguments = ["-m", *overrides, f"output_dir={output_dir}"]
    given, sys.argv = sys.argv, [sys.argv[0], *arguments]
    try:
        _run()
        if any(word in REPORTS or word.startswith("show_examples=") for word in overrides):
            return []
        return load_runs(_name(arguments), output_dir)
    finally:
        sys.argv = given


def _run() -> None:
    """Run the command line that sys.argv has. Raises UserError where the command would exit with an error."""
    try:
        main()
    except SystemExit as stopped:
        if stopped.code:
            message = str(stopped.code).removeprefix("error: ") if isinstance(stopped.code, str) else "It was stopped."
            raise UserError(message) from None


def load_runs(sweep: str | None = None, output_dir: str | Path = OUTPUT_DIR) -> Sequence[RunResult]:
    """Return the results of a sweep, in the order of its cells, or of all runs: one for each evaluation of a run.

    A result's `status` is completed, failed, pruned or running; `get` returns any value of its record by a dotted path,
    and `number` a finite number or None. Nothing of torch is imported. Raises `UserError` for a sweep that isn't there.

    >>> from persona_sweeps import load_runs
    >>> for run in sorted(load_runs(), key=lambda run: -run.number("metrics.completion_nll")):
    ...     print(run.status, run.get("predictor.label"), run.get("config.seed"), run.number("metrics.completion_nll"))
    completed untuned None 7...
    completed LoRA r=16 α=32 0 7...
    """
    selection = analysis_module("read.selection")
    folder = Path(output_dir)
    results: Sequence[RunResult] = (
        selection.read_all(folder) if sweep is None else selection.read_sweep(folder, sweep)
    ).results
    return results


def _name(arguments: Sequence[str]) -> str:
    """Return the name of the sweep that a command asked for: its own, an experiment's, or the default one."""
    parsed = OverridesParser.create().parse_overrides([word for word in arguments if not word.startswith("-")])
    settled = [str(override.input_line) for override in parsed if not override.is_sweep_override()]
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return str(compose("config", overrides=settled).sweep.name)
