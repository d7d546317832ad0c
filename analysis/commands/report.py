"""The command `report`: one HTML file of a sweep, or of all runs."""

from __future__ import annotations

import argparse
import sys

from persona_sweeps.errors import UserError
from persona_sweeps.records.files import write_bytes

from ..read.selection import read_all, read_sweep
from ..report.page import SAMPLES, report
from .options import add_output_dir, nothing_yet

SUMMARY = (
    "One HTML file that opens from disk and needs no network: all tables, sortable; loss curves; quality against cost; "
    "transcripts side by side; failures. With --sweep it is <output-dir>/sweeps/NAME/report.html, else "
    "<output-dir>/report.html."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--sweep", metavar="NAME", help="only the runs of this sweep (its sweep.name)")
    add_output_dir(parser)
    parser.add_argument(
        "--samples",
        type=int,
        default=SAMPLES,
        metavar="N",
        help=f"evaluation items of each run to put into the file (default: {SAMPLES})",
    )


def run(options: argparse.Namespace) -> int:
    """Write the report. Returns 1 where there is no run yet; raises UserError for a mistake."""
    if options.samples < 0:
        raise UserError(f"--samples is {options.samples}: it counts items, so give 0 or more.")
    output_dir, sweep = options.output_dir, options.sweep
    selection = read_all(output_dir) if sweep is None else read_sweep(output_dir, sweep)
    if selection.is_empty:
        print(nothing_yet(selection, output_dir), file=sys.stderr)
        return 1
    folder = output_dir if sweep is None else output_dir / "sweeps" / sweep
    sweep_file = None if sweep is None else folder / "sweep.json"
    page = folder / "report.html"
    made = report(selection, page, sweep_file, options.samples)
    write_bytes(page, made.html)
    content = f"{made.runs} runs, {made.tables} tables, {made.items} evaluation items"
    print(f"Wrote {page} ({content}, {len(made.html) / 1e6:.1f} MB)")
    return 0
