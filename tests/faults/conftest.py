"""Sweeps that are hit, and what they come to when they are left alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.faults.processes import Command
from tests.faults.results import OUTPUT, Result, results

CONF = Path(__file__).parent / "conf"
SITE = Path(__file__).parent / "site"
STEPS = 100
CELLS = ("peft=lora_dropped,prompt_tuning", "seed=0,1,2")
"""six runs, with dropout and with virtual tokens"""


@pytest.fixture(scope="session")
def start(shared_cache: Path) -> Callable[..., Command]:
    """A function that starts a command in a folder, as a process of its own."""

    def started(folder: Path, *arguments: str, before: Callable[[], Any] = dict, **environment: str) -> Command:
        own = {"PERSONA_SWEEPS_CACHE": str(shared_cache), "COLUMNS": "200"}
        return Command(arguments, folder, own | environment, before)

    return started


@pytest.fixture(scope="session")
def brief(tiny: tuple[str, ...]) -> tuple[str, ...]:
    """Overrides of runs that are long enough to be hit, and saved often."""
    return ("-m", *tiny, f"train.max_steps={STEPS}", "train.eval_every=25", "checkpoint_seconds=0.2")


@pytest.fixture(scope="session")
def six(brief: tuple[str, ...]) -> tuple[str, ...]:
    """The command of six runs that train one after the other, so that no group can change."""
    return (f"--config-dir={CONF}", *brief, *CELLS, "group_size=1")


@pytest.fixture(scope="session")
def together(brief: tuple[str, ...]) -> tuple[str, ...]:
    """The command of six runs that train in one group."""
    return (f"--config-dir={CONF}", *brief, *CELLS, "group_size=6")


@pytest.fixture(scope="session")
def left_alone(start: Callable[..., Command], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict]:
    """A function of a command that gives what it comes to uninterrupted; each is run once."""
    known: dict[tuple[str, ...], dict[str, Result]] = {}

    def found(*arguments: str) -> dict[str, Result]:
        if arguments not in known:
            folder = tmp_path_factory.mktemp("left-alone")
            command = start(folder, *arguments)
            assert command.wait() == 0, command.output
            known[arguments] = results(folder / OUTPUT)
        return known[arguments]

    return found
