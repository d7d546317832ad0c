"""`python -m analysis compare RUN RUN`: two results side by side, and where they differ most."""

from __future__ import annotations

import argparse

from persona_sweeps.errors import UserError

from ..read.find import find
from ..read.selection import read_all
from ..tables.table import markdown
from .options import add_output_dir

SUMMARY = "two runs: what differs in their configs, in their metrics with paired intervals, and in their replies"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs",
        nargs=2,
        metavar="RUN",
        help="a run id, the beginning of one, or a folder's name; RUN/EVALUATION where a run has several evaluations",
    )
    parser.add_argument(
        "--items", type=int, default=5, metavar="N", help="how many of the items that differ most to show (default: 5)"
    )
    add_output_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Print the comparison; nothing is written."""
    from ..tables.side_by_side import table

    if options.items < 0:
        raise UserError(f"--items {options.items}: give a number of items, 0 for none.")
    results = read_all(options.output_dir).results
    first, second = (find(name, results, f"run under {options.output_dir / 'runs'}") for name in options.runs)
    print(markdown(table(first, second, options.items)))
    return 0
