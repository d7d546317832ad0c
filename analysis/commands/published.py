"""`python -m analysis published`: rebuild a published board and check it, or set our runs beside it."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from analysis import options as common
from analysis.formats import FORMATS, load
from analysis.published.boards import board
from analysis.published.rebuild import build, overview, told_unknown
from analysis.records import Selection
from analysis.table import Table
from persona_sweeps.errors import UserError

SUMMARY = (
    "Boards that others published, rebuilt from their numbers: what is derived is recomputed, what doesn't follow is "
    "flagged, and ranks that could be noise are told. Without a NAME, the boards that there are."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("name", nargs="?", metavar="NAME", help="which board (default: a list of all)")
    parser.add_argument(
        "--sd",
        type=float,
        metavar="SD",
        help="the standard deviation to assume of one item's score, for the ranks that could be noise (0.12)",
    )
    parser.add_argument("--ours", action="store_true", help="set our completed runs beside the board instead")
    parser.add_argument("--sweep", metavar="SWEEP", help="with --ours: only the runs of this sweep")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="with --ours: only runs whose record says so (peft.method=lora); may be given several times",
    )
    parser.add_argument("--format", choices=FORMATS, default="md", help="how to print it (default: md)")
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=Path("multirun_outputs"),
        metavar="DIR",
        help="with --ours: where the runs are (default: multirun_outputs)",
    )


def run(options: argparse.Namespace) -> int:
    """Print the board. Returns 1 where --ours finds no completed run; raises UserError for a mistake."""
    _check(options)
    if options.name is None:
        return _print(overview(), options.format)
    if not options.ours:
        return _print(build(board(options.name), options.sd), options.format)
    return _ours(options)


def _ours(options: argparse.Namespace) -> int:
    from analysis.published.ours import against
    from analysis.tables.common import left_out

    of = board(options.name)
    selection = common.select(options)
    completed = selection.completed()
    if not completed:
        print(_none_completed(selection, options.output_dir), file=sys.stderr)
        return 1
    sections, raw = against(of.name, completed)
    notes = [*told_unknown(of), *left_out(selection)]
    return _print(Table(f"Ours beside {of.name}: {selection.title}", (), sections, notes, raw), options.format)


def _none_completed(selection: Selection, output_dir: Path) -> str:
    if common.is_empty(selection):
        return common.nothing_yet(selection, output_dir)
    counts = Counter(record.status for record in selection.records)
    told = ", ".join(f"{count} {status}" for status, count in counts.items()) or "no run that can be read"
    return f"No completed run to set beside a board ({selection.title}, under {output_dir}): {told}."


def _check(options: argparse.Namespace) -> None:
    """Raise `UserError` for options that would do nothing."""
    if options.ours and options.name is None:
        raise UserError("--ours needs the NAME of a board to set our runs beside.")
    if not options.ours and (options.sweep or options.where):
        raise UserError("--sweep and --where choose runs, which only --ours shows: add --ours.")
    if options.sd is not None and (options.ours or options.name is None):
        raise UserError("--sd is for the ranks of a board by itself: give its NAME, without --ours.")


def _print(table: Table, form: str) -> int:
    print(load(form).render([table]))
    return 0
