"""`persona-sweeps card`: write a run's persona card as a character card for SillyTavern and its relatives."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from persona_sweeps.cli.choosing import add_choice, chosen_run

LINES = 5


def parser() -> argparse.ArgumentParser:
    """Return the command's arguments."""
    made = argparse.ArgumentParser(
        prog="persona-sweeps card",
        description="Write the persona card that a run was trained behind, with some of the character's lines, as a "
        "character card of version 3 (in a PNG also of version 2). dataset.card and chat --persona read such files.",
        epilog="persona-sweeps card --best demo --out hamlet.png --picture portrait.png",
    )
    add_choice(made)
    made.add_argument("--persona", metavar="NAME", help="which character, where the run was trained on several")
    made.add_argument("--out", type=Path, default=Path("card.json"), metavar="FILE", help="a .json or .png (card.json)")
    made.add_argument("--picture", type=Path, metavar="PNG", help="the picture of a .png card (a plain grey one)")
    made.add_argument("--lines", type=int, default=LINES, metavar="N", help=f"of the character, as examples ({LINES})")
    return made


def main(words: Sequence[str]) -> None:
    """Run the command."""
    options = parser().parse_args(words)
    run, why = chosen_run(options)
    from persona_sweeps.deployment.cards import export_card
    from persona_sweeps.errors import UserError

    if options.lines < 0:
        raise UserError(f"--lines {options.lines} must be 0 or more.")
    if options.picture is not None and not options.picture.is_file():
        raise UserError(f"--picture {options.picture} doesn't exist.")
    if why:
        print(why)
    name = export_card(run, options.out, options.persona, options.lines, options.picture)
    print(f"Wrote the card of {name} to {options.out}.")
