"""Without what they need, tests are skipped by a reason that helps, and fail where they may not be skipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
NEEDS = {
    "slurm": ("slurm/test_cluster.py::test_a_job_runs_and_its_exit_is_seen", "slurm-wlm slurm-client munge"),
    "browser": ("browser/test_report_in_chromium.py::test_a_point_of_the_front_leads_to_its_run", "chromium"),
}
"""what is needed → a test that needs it, and the packages that have it"""


@pytest.mark.slow
@pytest.mark.parametrize("required", [False, True], ids=["may be skipped", "may not"])
@pytest.mark.parametrize("need", NEEDS)
def test_a_computer_without_it(need: str, required: bool) -> None:
    test, packages = NEEDS[need]
    named = f"x,{need}" if required else ""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "", "-rs", "-p", "no:cacheprovider", f"tests/{test}"],
        cwd=REPOSITORY,
        env={"PATH": "", "PERSONA_SWEEPS_REQUIRE": named, "PYTHONDONTWRITEBYTECODE": "1", "COLUMNS": "300"},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == int(required), done.stdout + done.stderr
    assert ("1 error" if required else "1 skipped") in done.stdout
    assert f"apt-get install {packages}" in done.stdout
