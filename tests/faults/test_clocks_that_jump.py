"""Nothing depends on what time it is: where the clock jumps hours back and forth, all is as ever."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.conftest import SITE
from tests.faults.results import (
    OUTPUT,
    assert_equal,
    folder_of,
    records,
    results,
    saved_steps,
    starts,
    steps_logged,
)

JUMPING = {"FAULT": "clock", "PYTHONPATH": str(SITE)}
LAUNCHERS = {
    "fused": (),
    "local": ("hydra/launcher=local", "hydra.launcher.workers=1", "hydra.launcher.poll_seconds=0.1"),
}


def make_it_jump() -> None:
    """Have the clock of this process jump, as that of a process does which starts with FAULT=clock."""
    sys.path.insert(0, str(SITE))
    import jumping

    jumping.all_clocks()


def test_the_clock_really_jumps(tmp_path: Path) -> None:
    code = (
        "import time; from persona_sweeps.records.provenance import now; "
        "print([(time.time(), now()) for _ in range(3)])"
    )
    environment = {**os.environ, **JUMPING}
    printed = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    for seen in zip(*ast.literal_eval(printed.stdout), strict=True):
        assert list(seen) != sorted(seen)


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("launcher", ["fused", "local"])
def test_a_sweep_that_is_stopped_goes_on_to_the_same_bits(
    start: Callable, brief: tuple[str, ...], left_alone: Callable, tmp_path: Path, launcher: str
) -> None:
    sweep = (*brief, "seed=0")
    first = start(tmp_path, *sweep, *LAUNCHERS[launcher], before=make_it_jump, **JUMPING)
    first.wait_for(lambda: steps_logged(tmp_path / OUTPUT) >= 30)
    first.send(signal.SIGTERM)
    assert first.wait() == 75, first.output
    assert saved_steps(tmp_path / OUTPUT)

    second = start(tmp_path, *sweep, *LAUNCHERS[launcher], before=make_it_jump, **JUMPING)
    assert second.wait() == 0, second.output
    assert_equal(results(tmp_path / OUTPUT), left_alone(*sweep))
    for run_id, record in records(tmp_path / OUTPUT).items():
        assert len(starts(folder_of(tmp_path / OUTPUT, run_id))) == 1 + record["resources"].get("resumes", 0)
        assert record["resources"]["wall_seconds"] < 3600
