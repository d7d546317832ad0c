"""Without Chromium the tests here are skipped by a reason that helps, and fail where they may not be skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TEST = "tests/browser/test_report_in_chromium.py::test_a_point_of_the_front_leads_to_its_run"


@pytest.mark.slow
@pytest.mark.parametrize(("required", "outcome"), [("", "1 skipped"), ("slurm,browser", "1 error")])
def test_a_computer_without_chromium(required: str, outcome: str) -> None:
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
    assert "apt-get install chromium" in done.stdout
