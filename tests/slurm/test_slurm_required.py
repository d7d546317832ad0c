"""Without SLURM the tests here are skipped by a reason that helps, and fail where they may not be skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TEST = "tests/slurm/test_cluster.py::test_a_job_runs_and_its_exit_is_seen"


@pytest.mark.slow
@pytest.mark.parametrize(("required", "outcome"), [("", "1 skipped"), ("slurm", "1 error"), ("x,slurm", "1 error")])
def test_a_computer_without_slurm(required: str, outcome: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "", "-rs", "-p", "no:cacheprovider", TEST],
        cwd=REPOSITORY,
        env={"PATH": "", "PERSONA_SWEEPS_REQUIRE": required, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == int("error" in outcome), done.stdout + done.stderr
    assert outcome in done.stdout
    assert "apt-get install slurm-wlm slurm-client munge" in done.stdout
