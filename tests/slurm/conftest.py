"""A real SLURM cluster for the tests here: started once, reset after each test, and quoted when one fails."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.daemons import PACKAGES, missing_programs


@pytest.fixture(scope="session")
def slurm_installed() -> None:
    """Skip on a computer without SLURM; fail there if the environment says that these tests may not be skipped."""
    if missing := missing_programs():
        reason = f"no {', '.join(missing)} here; on Debian or Ubuntu: apt-get install {PACKAGES}"
        if "slurm" in os.environ.get("PERSONA_SWEEPS_REQUIRE", "").split(","):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def cluster(slurm_installed: None) -> Iterator[Cluster]:
    """A cluster of two nodes with two GPUs each. Whatever a test leaves on it is gone when the next one starts."""
    with Cluster() as running:
        yield running


@pytest.fixture(autouse=True)
def reset_after_test(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "cluster" in request.fixturenames and (running := request.node.funcargs.get("cluster")):
        running.reset()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Add the daemons' last words to the report of a test that failed."""
    report = yield
    running = getattr(item, "funcargs", {}).get("cluster")
    if report.failed and isinstance(running, Cluster):
        report.sections.append(("SLURM", running.logs()))
    return report
