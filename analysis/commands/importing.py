"""`python -m analysis import PATH --format FORMAT`: make records of results that others measured."""

from __future__ import annotations

import argparse
from pathlib import Path

from persona_sweeps.errors import UserError
from persona_sweeps.wording import pluralize

from ..imports import FORMATS, load
from ..imports.record import ForeignRun, write_run
from .options import add_output_dir

SUMMARY = (
    "Results that others measured, as records beside ours: tables rank them by what their metrics say is better, with "
    "intervals where they have items. The same file again changes nothing."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="files or folders of results")
    parser.add_argument(
        "--format",
        required=True,
        choices=FORMATS,
        help="; ".join(f"{name}: {load(name).SUMMARY}" for name in FORMATS),
    )
    add_output_dir(parser)


def run(options: argparse.Namespace) -> int:
    """Write the records, and say what they have and what they lack; raises `UserError` for what can't be read."""
    reader = load(options.format)
    runs: list[ForeignRun] = []
    for path in options.paths:
        if not path.exists():
            raise UserError(f"{path}: there is no such file or folder.")
        runs += reader.read(path)
    for found in runs:  # all could be read
        write_run(found, options.output_dir, options.format)
    for sentence in said(runs):
        print(sentence)
    print(f"Wrote {pluralize(len({found.run_id for found in runs}), 'run')} to {options.output_dir / 'runs'}.")
    return 0


def said(runs: list[ForeignRun]) -> list[str]:
    """Say what was read, and what tables won't be able to say of it."""
    evaluations = [of for found in runs for of in found.evaluations]
    metrics = {name: metric for of in evaluations for name, metric in of.metrics.items()}
    words = {True: "higher is better", False: "lower is better", None: "which way is better isn't said: not ranked"}
    sentences = [f"{name}: {words[metric.higher_is_better]}." for name, metric in metrics.items()]
    if failed := [found for found in runs if found.failure]:
        sentences.append(f"{pluralize(len(failed), 'run')} failed; the first, {failed[0].label}: {failed[0].failure}.")
    if without := sum(not of.samples for of in evaluations):
        sentences.append(
            f"{without} of {pluralize(len(evaluations), 'evaluation')} without items: their order can't be tested, and "
            "they have no intervals."
        )
    if runs and all(found.seed is None or found.seed == runs[0].seed for found in runs):
        sentences.append("One seed each: what another seed would change can't be known.")
    return sentences
