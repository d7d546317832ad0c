"""What `python -m analysis` can do beside tables: one module a command.

To add one, write a module with `SUMMARY` (one line for --help), `add_arguments(parser)` and `run(options) -> int`, the
exit code, which raises `UserError` for a mistake; name it in `COMMANDS`.
"""

from __future__ import annotations

import argparse
from importlib import import_module
from typing import Protocol, cast


class Command(Protocol):
    """What a module of a command has."""

    SUMMARY: str

    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...

    def run(self, options: argparse.Namespace) -> int: ...


COMMANDS: dict[str, str] = {
    "compare": ".compare",
    "pivot": ".pivot",
    "rate": ".rate",
    "judge": ".judge",
    "import": ".importing",
    "published": ".published",
    "report": ".report",
}
"""the module of each command, by the name that it is called by"""


def load(name: str) -> Command:
    """Import a command."""
    return cast(Command, import_module(COMMANDS[name], __package__))
