"""`python -m analysis rate make` and `rate read`: people compare what runs said, without knowing which run did."""

from __future__ import annotations

import argparse
from pathlib import Path

from persona_sweeps.errors import UserError
from persona_sweeps.records.files import write_bytes

from ..formats import FORMATS, load
from ..rating import sheet
from ..rating.design import DESIGNS, Key, chosen, draw, key_from_json
from ..rating.reading import read
from ..rating.results import results
from . import options as common

SUMMARY = "blinded rating sheets for people (make), and what their ratings say (read)"
_SHEETS = {"html": sheet.to_html, "csv": sheet.to_csv}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parts = parser.add_subparsers(dest="part", required=True, metavar="make|read")
    make = parts.add_parser("make", help="make a sheet and its key from the samples of runs")
    make.add_argument(
        "--runs", nargs="+", default=[], metavar="RUN", help="run ids, beginnings of them, or folder names"
    )
    make.add_argument("--items", type=int, default=20, metavar="N", help="evaluation items to draw (default: 20)")
    make.add_argument(
        "--design", choices=DESIGNS, default=DESIGNS[0], help="pairs of replies, or a scale of 1–5 for each"
    )
    make.add_argument(
        "--format", choices=[*_SHEETS, "both"], default="both", help="the form of the sheet (default: both)"
    )
    make.add_argument("--seed", type=int, default=0, help="which items, sides and order are drawn (default: 0)")
    make.add_argument("--out", type=Path, required=True, metavar="DIR", help="the sheet goes here; give this to raters")
    make.add_argument(
        "--key", type=Path, metavar="FILE", help="the key goes here; keep it (default: DIR-key.json, beside DIR)"
    )
    common.add_selection(make)
    reads = parts.add_parser("read", help="read ratings back and print what they say")
    reads.add_argument("sheets", nargs="+", type=Path, metavar="SHEET", help="CSV files that raters sent back")
    reads.add_argument("--key", type=Path, required=True, metavar="FILE", help="the key that was made with the sheet")
    reads.add_argument("--format", choices=FORMATS, default="md", help="the form of the tables (default: md)")


def run(options: argparse.Namespace) -> int:
    return _make(options) if options.part == "make" else _read(options)


def read_key(path: Path) -> Key:
    """Return the key in a file; raises `UserError` where there is none."""
    try:
        return key_from_json(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The key {path} can't be read: {error}.") from error


def _make(options: argparse.Namespace) -> int:
    """Write the sheet to its folder and the key outside of it."""
    out: Path = options.out
    where: Path = options.key or out.parent / f"{out.name}-key.json"
    if where.resolve().is_relative_to(out.resolve()):
        raise UserError(f"--key {where} is inside --out {out}, which raters get: put it elsewhere.")
    selection = common.select(options)
    drawn = draw(chosen(selection.scored(), options.runs), options.items, options.design, options.seed)
    out.mkdir(parents=True, exist_ok=True)
    where.parent.mkdir(parents=True, exist_ok=True)
    # The key first: a sheet whose key was lost is of no use.
    write_bytes(where, drawn.key.to_json().encode(), mode=0o600)
    print(f"Wrote {where} (the key, {drawn.key.hash}: keep it from raters)")
    for form in _SHEETS if options.format == "both" else [options.format]:
        path = out / f"sheet-{drawn.key.sheet}.{form}"
        write_bytes(path, _SHEETS[form](drawn.key).encode("utf-8", "replace"))
        print(f"Wrote {path}")
    print(f"{len(drawn.key.units)} units to rate. {' '.join(drawn.notes)}".strip())
    return 0


def _read(options: argparse.Namespace) -> int:
    key = read_key(options.key)
    found = read(options.sheets, key)
    print(load(options.format).render([results(key, found, f"Ratings of sheet {key.sheet}")]))
    return 0
