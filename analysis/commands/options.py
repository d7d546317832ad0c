"""Options that commands share: which runs, by which metric, in which form."""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from persona_sweeps.errors import UserError, did_you_mean
from persona_sweeps.records.folders import OUTPUT_DIR

from ..formats import FORMATS, load, md
from ..formats.page import page
from ..program import DEMO, SWEEP
from ..read.measures import METRICS, Measure, measures
from ..read.results import RunResult
from ..read.selection import Selection, read_all, read_sweep
from ..read.settings import settings
from ..read.where import known_keys, parse, restrict
from ..statistics.ranking import ranking_measure
from ..tables.characters.front import NAMES
from ..tables.table import Table, write

_PARTS = (METRICS, "training.", "resources.", "evaluation.resources.")
"""of results: where numbers are that can be ranked or pivoted by"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --sweep, --where, --output-dir, --metric, --format and --width."""
    add_selection(parser)
    parser.add_argument(
        "--metric",
        metavar="NAME",
        help="what to rank, compare or pivot by, if there is a choice; comparisons take several (bits_per_byte,rougeL)",
    )
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default=None,
        help="; ".join(f"{name}: {kind.summary}" for name, kind in FORMATS.items())
        + " (default: Markdown; on a terminal columns that don't fit follow below)",
    )
    parser.add_argument(
        "--width",
        type=int,
        metavar="N",
        help="print tables at most so many columns wide (default: the terminal's; whole rows in a pipe)",
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
        default=Path(OUTPUT_DIR),
        metavar="DIR",
        help=f"where the runs are (default: {OUTPUT_DIR})",
    )


def select(options: argparse.Namespace) -> Selection:
    """Return the runs asked for; raises `UserError` for an unknown sweep or key, or when no run meets --where."""
    output_dir: Path = options.output_dir
    selection = read_all(output_dir) if options.sweep is None else read_sweep(output_dir, options.sweep)
    return restrict(selection, parse(options.where, selection.results)) if selection.results else selection


def nothing_yet(selection: Selection, output_dir: Path) -> str:
    """Say that there are no runs, and how to come by some."""
    return (
        f"No runs yet ({selection.title}, under {output_dir}): run `{DEMO}`, or `{SWEEP}` with the "
        "settings to try, and then this again."
    )


def resolve_metric(name: str, results: Sequence[RunResult], to_rank: bool = False) -> Measure:
    """Return the number that a name means, `bleu` being `metrics.bleu`.

    Raises `UserError` for an unknown one, and for one `to_rank` by of which records don't say which way is better.
    """
    paths = [path for path in known_keys(results) if path.startswith(_PARTS)]
    numbers = [path for path in paths if any(result.number(path) is not None for result in results)]
    found = next((path for path in (name, *(f"{part}{name}" for part in _PARTS)) if path in numbers), None)
    if found is None:
        short = [path.removeprefix(METRICS) for path in numbers]
        metrics = ", ".join(path for path in short if "." not in path)
        raise UserError(f"No run has a metric {name!r}.{did_you_mean(name, short)} Measured: {metrics or 'none'}.")
    measure = measures(results)[found]
    if to_rank and measure.higher_is_better is None:
        raise UserError(f"{name}: no record says whether more of it is better, so nothing can be ranked by it.")
    return measure


def resolve_pareto(names: Sequence[str], results: Sequence[RunResult]) -> tuple[str, str]:
    """Return the two numbers that names mean; raises `UserError` as `resolve_metric` does, and for one named twice."""
    first, second = (name if name in NAMES else resolve_metric(name, results, to_rank=True).name for name in names)
    if first == second:
        raise UserError(f"--pareto {' '.join(names)} names one number twice: give two.")
    return first, second


def usual_metric(results: Sequence[RunResult]) -> Measure:
    """Return the metric to go by where none is asked for; raises `UserError` where there is none."""
    known = measures(results)
    found = ranking_measure(settings(results), known) or next(iter(known), None)
    if found is None:
        raise UserError("No run has a metric: give another number with --metric, such as training.tokens.")
    return found


def folder_of(options: argparse.Namespace) -> Path:
    """Return where tables are written: a part of the runs has a folder of its own, lest it pass for the whole."""
    output_dir: Path = options.output_dir
    folder = output_dir / "tables" if options.sweep is None else output_dir / "sweeps" / options.sweep / "tables"
    against = vars(options).get("against")
    asked = [*options.where, *([f"by-{options.metric}"] if options.metric else [])]
    asked += [f"against-{against}"] if against else []
    asked += ["-".join(["pareto", *pareto])] if (pareto := vars(options).get("pareto")) else []
    if not asked:
        return folder
    readable = re.sub(r"[^\w.=-]+", "_", " ".join(asked))[:60]
    return folder / f"{readable}-{hashlib.sha256(repr(asked).encode()).hexdigest()[:6]}"


def give(tables: Sequence[tuple[str, Table]], options: argparse.Namespace) -> None:
    """Print tables in the form asked for, or to be read here, and write each by its name with its CSV and figures.

    The written files are listed below tables in Markdown; of any other form, which a program may read, on stderr.
    """
    form = options.format or "md"
    if FORMATS[form].single and len(tables) != 1:
        raise UserError(f"--format {form} holds one table, and there are {len(tables)}: name the one.")
    made = [table for _, table in tables]
    print(load(form).render(made) if options.format else md.render(made, page(options.width)))
    folder = folder_of(options)
    written = [path for name, table in tables for path in write(table, folder, name, ("md", "csv", form))]
    print("\n".join(f"Wrote {path}" for path in written), file=sys.stdout if form == "md" else sys.stderr)
