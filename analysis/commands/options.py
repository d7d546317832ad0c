"""What the commands that make tables ask alike: which runs, by which metric, in which form."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from persona_sweeps.errors import UserError, did_you_mean

from ..formats import FORMATS, load
from ..read.results import Record, Selection, read_all, read_sweep
from ..read.where import known_keys, parse, restrict
from ..tables.table import Table, write

_SECTIONS = ("metrics.", "training.", "resources.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --sweep, --where, --output-dir, --metric and --format."""
    add_selection(parser)
    parser.add_argument("--metric", metavar="NAME", help="what to rank or pivot by, where there is a choice")
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="md",
        help="; ".join(f"{name}: {kind.summary}" for name, kind in FORMATS.items()) + " (default: md)",
    )


def add_selection(parser: argparse.ArgumentParser) -> None:
    """Add what `select` asks for: --sweep, --where and --output-dir."""
    parser.add_argument("--sweep", metavar="NAME", help="only the runs of this sweep (its sweep.name)")
    parser.add_argument(
        "--where",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="only runs whose record says so, by a config key (peft.method=lora) or another part (metrics.bleu>0.01, "
        "status=pruned); = != < <= > >= and ~ (contains); may be given several times",
    )
    add_output_dir(parser)


def add_output_dir(parser: argparse.ArgumentParser) -> None:
    """Add --output-dir."""
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=Path("multirun_outputs"),
        metavar="DIR",
        help="where the runs are (default: multirun_outputs)",
    )


def select(options: argparse.Namespace) -> Selection:
    """Return the runs asked for; raises `UserError` for an unknown sweep or key, or when no run meets --where."""
    output_dir: Path = options.output_dir
    selection = read_all(output_dir) if options.sweep is None else read_sweep(output_dir, options.sweep)
    return restrict(selection, parse(options.where, selection.records)) if selection.records else selection


def is_empty(selection: Selection) -> bool:
    return not (selection.records or selection.problems or selection.absent)


def nothing_yet(selection: Selection, output_dir: Path) -> str:
    """Say that there are no runs, and how to come by some."""
    return (
        f"No runs yet ({selection.title}, under {output_dir}): run `make demo`, or `python launch.py -m` with the "
        "settings to try, and then this again."
    )


def resolve_metric(name: str, records: Sequence[Record]) -> str:
    """Return the dotted path of a number, `bleu` being `metrics.bleu`; raises `UserError` for an unknown one."""
    paths = [path for path in known_keys(records) if path.startswith(_SECTIONS)]
    meant = (f"metrics.{name}", name, f"training.{name}", f"resources.{name}")
    found = next((path for path in meant if path in paths), None)
    if found is None or all(record.number(found) is None for record in records):
        numbers = [path for path in paths if any(record.number(path) is not None for record in records)]
        short = [path.removeprefix("metrics.") for path in numbers]
        metrics = ", ".join(path for path in short if "." not in path)
        raise UserError(f"No run has a metric {name!r}.{did_you_mean(name, short)} Measured: {metrics or 'none'}.")
    return found


def folder_of(options: argparse.Namespace) -> Path:
    """Return where tables are written: a part of the runs has a folder of its own, lest it pass for the whole."""
    output_dir: Path = options.output_dir
    folder = output_dir / "tables" if options.sweep is None else output_dir / "sweeps" / options.sweep / "tables"
    against = vars(options).get("against")
    asked = [*options.where, *([f"by-{options.metric}"] if options.metric else [])]
    asked += [f"against-{against}"] if against else []
    if not asked:
        return folder
    told = re.sub(r"[^\w.=-]+", "_", " ".join(asked))[:60]
    return folder / f"{told}-{hashlib.sha256(repr(asked).encode()).hexdigest()[:6]}"


def give(tables: Sequence[tuple[str, Table]], options: argparse.Namespace) -> None:
    """Print tables in the form asked for, and write each by its name with its CSV and figures.

    In Markdown the written files are told below the tables; in any other form, which a program may read, on stderr.
    """
    kind = FORMATS[options.format]
    if kind.single and len(tables) != 1:
        raise UserError(f"--format {options.format} holds one table, and there are {len(tables)}: name the one.")
    print(load(options.format).render([table for _, table in tables]))
    folder = folder_of(options)
    written = [path for name, table in tables for path in write(table, folder, name, ("md", "csv", options.format))]
    print("\n".join(f"Wrote {path}" for path in written), file=sys.stdout if options.format == "md" else sys.stderr)
