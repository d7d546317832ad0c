"""A home that can't be written costs a sentence: what can be made again is kept elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.results import OUTPUT, results

NOWHERE = [
    {"HOME": "/dev/null/home", "PERSONA_SWEEPS_CACHE": ""},
    {"HOME": "/proc", "PERSONA_SWEEPS_CACHE": ""},
    {"PERSONA_SWEEPS_CACHE": "/proc/cache"},
]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    folder = tmp_path / "tmp"
    folder.mkdir()
    return folder


def assert_reported_once(printed: str, elsewhere: Path) -> None:
    warnings = [line for line in printed.splitlines() if "is used instead" in line]
    assert len(warnings) == 1 and str(elsewhere) in warnings[0] and "PERSONA_SWEEPS_CACHE" in warnings[0]
    assert "Traceback" not in printed
    assert list(elsewhere.glob("persona-sweeps-*/data/*/prepared.json")), "it is there for the next command"


@pytest.mark.parametrize(
    "environment",
    [
        pytest.param(NOWHERE[0], id="no-home", marks=pytest.mark.long),
        pytest.param(NOWHERE[1], id="unwritable-home"),
        pytest.param(NOWHERE[2], id="unwritable-cache", marks=pytest.mark.long),
    ],
)
def test_a_run_is_trained_and_the_folder_used_instead_is_reported(
    start: Callable, tiny: tuple[str, ...], tmp_path: Path, elsewhere: Path, environment: dict[str, str]
) -> None:
    command = start(tmp_path, *tiny, "train.max_steps=1", **environment, TMPDIR=str(elsewhere))
    assert command.wait() == 0, command.output
    assert len(results(tmp_path / OUTPUT)) == 1
    assert_reported_once(command.output, elsewhere)


@pytest.mark.slow
@pytest.mark.long
def test_workers_use_what_their_launcher_uses(
    command: Callable, tiny: tuple[str, ...], tmp_path: Path, elsewhere: Path
) -> None:
    """From the start of Python on, without a home: every library that is loaded has to do without."""
    sweep = ("-m", *tiny, "seed=0", "train.max_steps=1", "hydra/launcher=local")
    ended = command(*sweep, folder=tmp_path, **NOWHERE[0], TMPDIR=str(elsewhere))
    assert ended.code == 0, ended.err
    assert len(results(tmp_path / OUTPUT)) == 1
    assert_reported_once(ended.err, elsewhere)
    (log,) = (tmp_path / OUTPUT).glob("sweeps/*/jobs/*.log")
    assert "is used instead" not in log.read_text()
