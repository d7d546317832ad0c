"""The command `python -m analysis`: prints tables of run records and writes them beside the runs."""

from __future__ import annotations

import argparse
import gc
import os
import sys
from collections.abc import Callable, Sequence

from persona_sweeps.errors import UserError, did_you_mean

from .commands import COMMANDS, load
from .commands.options import add_arguments, give, nothing_yet, resolve_metric, resolve_pareto, select
from .program import PROGRAM
from .tables import TABLES, Entry
from .tables.options import TableOptions

_EXAMPLES = """\
examples:
  {program}                                   every table that applies, of all runs
  {program} leaderboard                       one table
  {program} --sweep demo                      the runs of one sweep only
  {program} lora-vs-prompt-tuning --sweep demo
  {program} leaderboard --where peft.method=lora --where "metrics.bleu>0.01" --format latex
  {program} leaderboard --against documentary_personas     a published board beside our rows
  {program} characters --pareto bits_per_byte forgetting   which settings no other beats in both
  {program} --output-dir /data/outputs        runs that were kept elsewhere

tables:
{tables}

commands (each has its own --help):
{commands}

Tables are printed in the form asked for and written, as that, as Markdown and as a CSV of full precision
with run ids, with figures, to <output-dir>/tables, or to <output-dir>/sweeps/<name>/tables with --sweep;
those of --where, --metric, --against and --pareto to a folder of their own there. Only evaluated runs are ranked;
failed, pruned and unreadable ones are listed below with the reason.
Exit code: 0 done, 1 no runs yet, 2 an unknown table, sweep or board.
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
        return _report(options)
    except BrokenPipeError:  # whoever read this has seen enough, such as `head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UserError as error:
        print(error, file=sys.stderr)
        return 2


def _command(name: str, arguments: Sequence[str]) -> int:
    command = load(name)
    parser = argparse.ArgumentParser(prog=f"{PROGRAM} {name}", description=command.SUMMARY)
    command.add_arguments(parser)
    return command.run(parser.parse_args(arguments))


def _report(options: argparse.Namespace) -> int:
    """Print and write the tables asked for, or all that apply where none is named."""
    for name in options.tables:
        if name not in TABLES:
            raise UserError(f"No table is called {name!r}.{did_you_mean(name, TABLES)} Known: {', '.join(TABLES)}.")
    if options.against:
        from .published.boards import board

        board(options.against)  # an unknown one is no reason to read runs
    selection = select(options)
    if selection.is_empty:
        print(nothing_yet(selection, options.output_dir), file=sys.stderr)
        return 1
    names = list(dict.fromkeys(options.tables)) or [name for name, entry in TABLES.items() if entry.applies(selection)]
    asked = options.metric.split(",") if options.metric else []
    if asked:
        _check_use("metric", options.metric, names, lambda entry: entry.choice and (len(asked) == 1 or entry.several))
    if options.against:
        _check_use("against", options.against, names, lambda entry: entry.boards)
    if options.pareto:
        _check_use("pareto", " ".join(options.pareto), names, lambda entry: entry.fronts)
    metrics = [resolve_metric(name, selection.results, to_rank=True) for name in asked]
    if metrics and options.against:
        from .published.beside import refuse_without

        refuse_without(options.against, metrics[0])
    pareto = resolve_pareto(options.pareto, selection.results) if options.pareto else None
    chosen = TableOptions(tuple(metric.name for metric in metrics), options.against, pareto)
    give([(name, TABLES[name].make(selection, chosen)) for name in names], options)
    return 0


def _check_use(option: str, value: str, names: Sequence[str], takes: Callable[[Entry], bool]) -> None:
    """Raise `UserError` where an option was given that none of these tables takes."""
    if not any(takes(TABLES[name]) for name in names):
        taking = [name for name, entry in TABLES.items() if takes(entry)]
        taking += ["pivot"] if option == "metric" else []
        raise UserError(f"--{option} {value} does nothing for {', '.join(names)}; it is for {', '.join(taking)}.")


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, TABLES))
    listed = "\n".join(f"  {name.ljust(width)}  {entry.summary}" for name, entry in TABLES.items())
    commands = "\n".join(f"  {name.ljust(width)}  {load(name).SUMMARY.partition('. ')[0]}" for name in COMMANDS)
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Tables of what runs measured, from their records.",
        epilog=_EXAMPLES.format(program=PROGRAM, tables=listed, commands=commands),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("tables", nargs="*", metavar="TABLE", help="which tables to make (default: all that apply)")
    add_arguments(parser)
    parser.add_argument(
        "--against",
        metavar="BOARD",
        help="set a published board beside leaderboard, base-vs-instruct or lora-vs-prompt-tuning, unranked "
        f"(boards: see `{PROGRAM} published`)",
    )
    parser.add_argument(
        "--pareto",
        nargs=2,
        metavar=("X", "Y"),
        help="draw the settings of characters in two numbers, with those that no other beats in both: two metrics, or "
        "cost (CPU seconds), or trainable (parameters)",
    )
    return parser


if __name__ == "__main__":
    gc.set_threshold(200_000, 50, 50)  # records are read once and kept: looking for cycles among them costs a seventh
    sys.exit(main())
