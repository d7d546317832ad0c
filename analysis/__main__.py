"""The command `python -m analysis`: prints tables of run records and writes them beside the runs."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from analysis.commands import COMMANDS, load
from analysis.records import Selection, read_all, read_sweep
from analysis.table import markdown, write
from analysis.tables import TABLES
from persona_sweeps.errors import UserError, did_you_mean

_EXAMPLES = """\
examples:
  python -m analysis                                   every table that applies, of all runs
  python -m analysis leaderboard                       one table
  python -m analysis --sweep demo                      the runs of one sweep only
  python -m analysis lora-vs-prompt-tuning --sweep demo
  python -m analysis --output-dir /data/outputs        runs that were kept elsewhere

tables:
{tables}

Tables are printed as Markdown and written, with a CSV of full precision and run ids and with
figures, to <output-dir>/tables, or to <output-dir>/sweeps/<name>/tables with --sweep. Only completed runs
are ranked; failed, pruned and unreadable ones are listed below with the reason.
Exit code: 0 done, 1 no runs yet, 2 an unknown table or sweep.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if hasattr(sys.stdout, "reconfigure"):  # a terminal without α or ± shows "?" rather than failing
        sys.stdout.reconfigure(errors="replace")
    try:
        if arguments and arguments[0] in COMMANDS:
            return _command(arguments[0], arguments[1:])
        options = _parser().parse_args(arguments)
        return _report(options.tables, options.output_dir, options.sweep)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2


def _command(name: str, arguments: Sequence[str]) -> int:
    command = load(name)
    parser = argparse.ArgumentParser(prog=f"python -m analysis {name}", description=command.SUMMARY)
    command.add_arguments(parser)
    return command.run(parser.parse_args(arguments))


def _report(names: Sequence[str], output_dir: Path, sweep: str | None) -> int:
    """Print and write these tables, or all that apply where none is named."""
    for name in names:
        if name not in TABLES:
            raise UserError(f"No table is called {name!r}.{did_you_mean(name, TABLES)} Known: {', '.join(TABLES)}.")
    selection = read_all(output_dir) if sweep is None else read_sweep(output_dir, sweep)
    if not (selection.records or selection.problems or selection.absent):
        print(_nothing_yet(selection, output_dir), file=sys.stderr)
        return 1
    folder = output_dir / "tables" if sweep is None else output_dir / "sweeps" / sweep / "tables"
    written = []
    for name in dict.fromkeys(names) or [name for name, entry in TABLES.items() if entry.applies(selection)]:
        table = TABLES[name].build(selection)
        print(markdown(table))
        written += write(table, folder, name)
    print("\n".join(f"Wrote {path}" for path in written))
    return 0


def _nothing_yet(selection: Selection, output_dir: Path) -> str:
    return (
        f"No runs yet ({selection.title}, under {output_dir}): run `make demo`, or `python launch.py -m` with the "
        "settings to try, and then this again."
    )


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, TABLES))
    listed = "\n".join(f"  {name.ljust(width)}  {entry.summary}" for name, entry in TABLES.items())
    parser = argparse.ArgumentParser(
        prog="python -m analysis",
        description="Tables of what runs measured, from their records.",
        epilog=_EXAMPLES.format(tables=listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="which tables to make (default: all that apply)")
    parser.add_argument("--sweep", metavar="NAME", help="only the runs of this sweep (its sweep.name)")
    parser.add_argument(
        "--output-dir",
        type=Path,
        default=Path("multirun_outputs"),
        metavar="DIR",
        help="where the runs are (default: multirun_outputs)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
