"""`python -m analysis pivot`: a metric by any config keys."""

from __future__ import annotations

import argparse
import sys

from ..read.where import resolve
from ..tables.pivot import Pivot, build
from . import options as common

SUMMARY = "a metric by any config keys: mean ± standard deviation over seeds"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--rows",
        action="append",
        required=True,
        metavar="KEY",
        help="the config key of the rows, such as peft.method; several together make a heading of all their values",
    )
    parser.add_argument("--columns", action="append", default=[], metavar="KEY", help="that of the columns")
    common.add_arguments(parser)


def run(options: argparse.Namespace) -> int:
    """Print and write the pivot."""
    selection = common.select(options)
    if not selection.results:
        print(common.nothing_yet(selection, options.output_dir), file=sys.stderr)
        return 1
    asked, results = options.metric, selection.results
    measure = common.resolve_metric(asked, results) if asked else common.usual_metric(selection.scored())
    pivot = Pivot(
        rows=tuple(resolve(key, selection.results) for key in options.rows),
        columns=tuple(resolve(key, selection.results) for key in options.columns),
        metric=measure.name,
    )
    name = "-".join(["pivot", *options.rows, *options.columns])
    common.give([(name.replace("/", "_"), build(selection, pivot))], options)
    return 0
