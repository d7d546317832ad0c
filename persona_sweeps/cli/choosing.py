"""Arguments that say which run is meant, and where it is loaded."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from persona_sweeps.errors import UserError
from persona_sweeps.records.folders import OUTPUT_DIR

if TYPE_CHECKING:
    from persona_sweeps.deployment.host import FinishedRun


def add_choice(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that choose one run, or the best of a sweep."""
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's folder, its name, or the beginning of its id")
    add_best(parser)


def add_best(parser: argparse.ArgumentParser) -> None:
    """Add --best with what narrows it, --output-dir and --device."""
    parser.add_argument("--best", metavar="SWEEP", help="in place of RUN: the best seed of this sweep's best setting")
    parser.add_argument(
        "--metric", metavar="NAME", help="with --best: what to go by (the headline that ranks the leaderboard)"
    )
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="with --best: only among runs whose record says so, such as dataset.persona=Hamlet; may be given again",
    )
    add_output_dir(parser)


def add_output_dir(parser: argparse.ArgumentParser) -> None:
    """Add --output-dir and --device."""
    parser.add_argument("--output-dir", type=Path, default=Path(OUTPUT_DIR), metavar="DIR", help=f"({OUTPUT_DIR})")
    parser.add_argument("--device", default="auto", metavar="auto|cpu|cuda", help="where the model is (auto)")


def require_best(options: argparse.Namespace) -> None:
    """Raise `UserError` for arguments that narrow --best where there is none."""
    for name in ("metric", "where"):
        if options.best is None and getattr(options, name):
            raise UserError(f"--{name} goes with --best SWEEP: a run that is named isn't chosen.")


def chosen_run(options: argparse.Namespace) -> tuple[FinishedRun, str]:
    """Return the run that the arguments mean, and a sentence that says how it was chosen; "" for a named one.

    Raises `UserError`.
    """
    from persona_sweeps.deployment.choice import best_run, run_folder
    from persona_sweeps.deployment.host import read_run

    if (options.run is None) == (options.best is None):
        raise UserError("Which run? Give its folder, its name, the beginning of its id, or --best SWEEP.")
    if options.best is None:
        require_best(options)
        return read_run(run_folder(options.run, options.output_dir)), ""
    folder, why = best_run(options.best, options.metric, options.where, options.output_dir)
    return read_run(folder), why
