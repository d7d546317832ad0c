"""The command `persona-sweeps`: what to do comes first, and its own arguments behind it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec

OVERVIEW = """\
persona-sweeps: teach language models to speak as a character, and compare how.

  persona-sweeps sweep …      train and evaluate: one run, or a sweep with -m (sweep --help lists groups and keys)
  persona-sweeps analyze …    tables of what was measured (analyze --help lists them)
  persona-sweeps report …     one HTML page of a sweep, with curves and examples

Overrides without a command are a sweep's: persona-sweeps peft=lora seed=0 is persona-sweeps sweep peft=lora seed=0.
"""


def main() -> None:
    """Run the command line; exit with the code of what it ran."""
    words = sys.argv[1:]
    if not words or words in (["--help"], ["-h"], ["help"]):
        print(OVERVIEW, end="")
        return
    command = COMMANDS.get(words[0])
    if command is not None:
        command(words[1:])
    else:
        _sweep(words)


def _sweep(words: Sequence[str]) -> None:
    from persona_sweeps.cli.launch import main as launch

    sys.argv[1:] = words
    launch()


def _analyze(words: Sequence[str]) -> None:
    # A wheel carries the package `analysis` inside of this one, so that it takes no name in site-packages.
    package = "persona_sweeps.analysis" if find_spec("persona_sweeps.analysis") is not None else "analysis"
    sys.exit(importlib.import_module(f"{package}.__main__").main(list(words)))


def _report(words: Sequence[str]) -> None:
    _analyze(["report", *words])


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {"sweep": _sweep, "analyze": _analyze, "report": _report}
