"""`python -m analysis compare RUN RUN`: two runs side by side, and where they differ most."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from persona_sweeps.errors import UserError, did_you_mean

from ..read.results import Record, read_all
from ..tables.table import markdown
from .options import add_output_dir

SUMMARY = "two runs: what differs in their configs, in their metrics with paired intervals, and in their replies"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("runs", nargs=2, metavar="RUN", help="a run id, the beginning of one, or a folder's name")
    parser.add_argument(
        "--items", type=int, default=5, metavar="N", help="how many of the items that differ most to show (default: 5)"
    )
    add_output_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Print the comparison; nothing is written."""
    from ..tables.side_by_side import table

    if options.items < 0:
        raise UserError(f"--items {options.items}: give a number of items, 0 for none.")
    records = read_all(options.output_dir).records
    first, second = (find(name, records, options.output_dir) for name in options.runs)
    print(markdown(table(first, second, options.items)))
    return 0


def find(name: str, records: Sequence[Record], output_dir: Path) -> Record:
    """Return the run with this id, the only one whose id begins so, or the one of this folder or name.

    Raises `UserError` when there is none, or more than one.
    """
    wanted = Path(name).name
    exact = [record for record in records if wanted in (record.run_id, record.folder.name, record.get("name"))]
    found = exact or [record for record in records if wanted and record.run_id.startswith(wanted)]
    if len(found) == 1:
        return found[0]
    if found:
        listed = ", ".join(record.folder.name for record in found[:5])
        raise UserError(f"{len(found)} runs are meant by {name!r}: {listed}{' …' if len(found) > 5 else ''}.")
    known = [word for record in records for word in (record.run_id, record.folder.name)]
    raise UserError(f"No run under {output_dir / 'runs'} is called {name!r}.{did_you_mean(wanted, known)}")
