"""No more of a sweep's jobs run at once than it may have, whatever nodes they ask for: on a real cluster."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from persona_sweeps.execution.backend import JobState, Task
from persona_sweeps.execution.slurm.backend import SlurmBackend
from persona_sweeps.execution.slurm.settings import SlurmSettings
from tests.slurm.cluster import Cluster

CONF = Path(__file__).resolve().parents[2] / "conf" / "hydra" / "launcher" / "slurm.yaml"
GIVEN = {
    "gpus_per_job": 0, "cpus_per_job": 1, "max_parallel": 2, "setup": ["sleep 2"],
    "per_model": {"gpt2": {"mem_gb": 1}, "smollm2_135m_instruct": {"mem_gb": 2}},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    "python, submissions",
    [pytest.param(None, 3, id="arrays"), pytest.param(sys.executable, 7, id="each alone", marks=pytest.mark.long)],
)
def test_the_limit_holds_over_jobs_that_ask_for_different_nodes(
    cluster: Cluster, make_cell: Callable, tiny: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    python: str | None, submissions: int,
) -> None:  # fmt: skip
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    keys = OmegaConf.to_container(OmegaConf.load(CONF)) | GIVEN | {"python": python}  # type: ignore[operator]
    settings = SlurmSettings.read({str(key): value for key, value in keys.items() if key != "_target_"})
    backend = SlurmBackend(settings, tmp_path / "jobs", {})
    cells = [make_cell(*tiny, f"model={name}", f"output_dir={tmp_path}") for name in ("gpt2", "smollm2_135m_instruct")]
    # There are no such group files, so a job ends as soon as it has begun.
    jobs = backend.submit([Task(tmp_path / str(n), [cells[n % 2]]) for n in range(6)])
    at_once, again = [], [Task(tmp_path / "again", [cells[0]])]
    while any(status.state is not JobState.finished for status in backend.poll(jobs).values()):
        at_once.append(sum(job.state == "RUNNING" for job in cluster.jobs()))
        if again and any(status.state is JobState.finished for status in backend.poll(jobs).values()):
            jobs += backend.submit([again.pop()])
        time.sleep(0.1)
    known = cluster.jobs()
    assert len(known) == 7 and len({job.array for job in known}) == submissions
    assert max(at_once) <= 2 + (python is None), "a job that is given again may find both places of the arrays taken"
    assert max(at_once) >= 2
