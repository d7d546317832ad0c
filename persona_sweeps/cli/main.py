"""The command `persona-sweeps`: what to do comes first, and its own arguments behind it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence

from persona_sweeps.cli.analysis_package import analysis_module

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
    sys.exit(analysis_module("__main__").main(list(words)))


def _report(words: Sequence[str]) -> None:
    _analyze(["report", *words])


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {"sweep": _sweep, "analyze": _analyze, "report": _report}
