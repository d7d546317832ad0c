"""The command `python -m benchmarks`: measures, writes the results and the table of docs/performance.md."""

from __future__ import annotations

import argparse
import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.page import render, rewrite
from benchmarks.results import Result, make_result, read_all, save
from benchmarks.rounds import ROOT, Settings, run_rounds
from benchmarks.scenarios import EXAMPLES, SCENARIOS
from persona_sweeps.config.schema import Precision, Scale
from persona_sweeps.device import resolve_precision
from persona_sweeps.errors import UserError, did_you_mean

_EXAMPLES = """\
examples:
  python -m benchmarks                                  every scenario, three rounds
  python -m benchmarks --scenario card --precision fp32
  python -m benchmarks --model-scale tiny --examples 8 --rounds 1      a rehearsal in a minute
  python -m benchmarks --rounds 0                       only make the table again, from the results

scenarios:
{scenarios}

Results are written to benchmarks/results and the table to docs/performance.md. A rehearsal, on the tiny twin or with
another number of examples, is printed and not kept, unless --results and --page are given.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command with these arguments and return its exit code."""
    options = _parser().parse_args(argv)
    try:
        return _run(options)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    names = options.scenario or list(SCENARIOS)
    for name in names:
        if name not in SCENARIOS:
            raise UserError(
                f"No scenario is called {name!r}.{did_you_mean(name, SCENARIOS)} Known: {', '.join(SCENARIOS)}."
            )
    if min(options.examples, options.threads, options.rounds + 1) < 1:
        raise UserError("--examples and --threads must be at least 1, and --rounds at least 0.")
    if importlib.util.find_spec("trl") is None:
        raise UserError("TRL isn't installed, against which this measures: make bench installs it.")
    precision = resolve_precision(Precision(options.precision), "cpu")
    settings = Settings(precision, options.rounds, options.examples, Scale(options.model_scale), options.threads)
    keep = settings.scale is Scale.full and settings.examples == EXAMPLES
    results = options.results or (ROOT / "benchmarks" / "results" if keep else None)
    page = options.page or (ROOT / "docs" / "performance.md" if keep else None)
    measured = [_measure(name, settings, results) for name in dict.fromkeys(names) if settings.rounds]
    print(render(list(read_all(results)) if results and not measured else measured))
    if results and page:
        rewrite(page, list(read_all(results)))
        print(f"Wrote {page}")
    elif not results:
        print("This was a rehearsal: nothing was written.")
    return 0


def _measure(name: str, settings: Settings, folder: Path | None) -> Result:
    """Run one scenario's rounds, and save them if a folder is given."""
    scenario = SCENARIOS[name]
    print(f"{scenario.title} ({name}, {settings.precision.value})", flush=True)
    result = make_result(scenario, settings, run_rounds(scenario, settings))
    if folder:
        print(f"Wrote {save(result, settings, folder)}", flush=True)
    return result


def _parser() -> argparse.ArgumentParser:
    width = max(map(len, SCENARIOS))
    listed = "\n".join(f"  {name.ljust(width)}  {scenario.title}" for name, scenario in SCENARIOS.items())
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="CPU seconds of LoRA training: this engine, TRL's SFTTrainer, and stacked trials.",
        epilog=_EXAMPLES.format(scenarios=listed),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scenario", action="append", metavar="NAME", help="only this one (may be given again)")
    parser.add_argument("--precision", choices=[p.value for p in Precision], default="auto")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="times that each is measured (3)")
    parser.add_argument("--examples", type=int, default=EXAMPLES, metavar="N", help=f"training examples ({EXAMPLES})")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="of each contestant (1)")
    parser.add_argument("--model-scale", choices=[s.value for s in Scale], default="full")
    parser.add_argument("--results", type=Path, metavar="DIR", help="where result files are kept")
    parser.add_argument("--page", type=Path, metavar="FILE", help="the page whose table is made again")
    return parser


if __name__ == "__main__":
    sys.exit(main())
