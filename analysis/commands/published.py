"""`python -m analysis published`: rebuild a published board and check it."""

from __future__ import annotations

import argparse

from persona_sweeps.errors import UserError

from ..formats import FORMATS, load
from ..program import PROGRAM
from ..published.boards import board
from ..published.rebuild import build, overview

SUMMARY = (
    "Boards that others published, rebuilt from their numbers: what is derived is recomputed, what doesn't follow is "
    "flagged, and ranks that could be noise are named. Without a NAME: the boards that there are. To set one beside "
    f"our runs: {PROGRAM} leaderboard --against NAME."
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
    parser.add_argument("--format", choices=FORMATS, default="md", help="how to print it (default: md)")


def run(options: argparse.Namespace) -> int:
    """Print the board, or a list of all; raises `UserError` for a mistake."""
    if options.sd is not None and options.name is None:
        raise UserError("--sd is for the ranks of a board: give its NAME.")
    table = overview() if options.name is None else build(board(options.name), options.sd)
    print(load(options.format).render([table]))
    return 0
