"""Write the reference of every command, from its own --help."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from unittest import mock

from analysis import __main__ as analysis
from analysis.commands import COMMANDS, load
from persona_sweeps.cli.main import MODULES, OVERVIEW

WIDTH = "100"


def page(root: Path) -> str:
    """Return the page in Markdown."""
    parts = [
        "# Commands\n",
        "Each is shown as its `--help` prints it. In a checkout, `python launch.py` is `persona-sweeps sweep`, and "
        "`python -m analysis` is `persona-sweeps analyze`.\n",
        _block("persona-sweeps", OVERVIEW),
        _block("persona-sweeps sweep", _sweep_help(root)),
    ]
    with mock.patch.dict(os.environ, {"COLUMNS": WIDTH}):
        for name in MODULES:
            parser = import_module(f"persona_sweeps.cli.{name}").parser()
            parts.append(_block(f"persona-sweeps {name}", parser.format_help()))
        parts.append(_block("persona-sweeps analyze", analysis._parser().format_help()))
        for name in COMMANDS:
            parser = argparse.ArgumentParser(prog=f"{analysis.PROGRAM} {name}", description=load(name).SUMMARY)
            load(name).add_arguments(parser)
            parts.append(_block(f"persona-sweeps analyze {name}", parser.format_help()))
    return "\n".join(parts)


def _sweep_help(root: Path) -> str:
    command = [sys.executable, str(root / "launch.py"), "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=root).stdout


def _block(name: str, text: str) -> str:
    return f"## {name}\n\n```text\n{text.strip()}\n```\n"
