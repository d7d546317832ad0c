"""The fused launcher as Hydra sees it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher

from tests.conftest import REPOSITORY


def test_hydra_discovers_the_launcher() -> None:
    assert "FusedLauncher" in [plugin.__name__ for plugin in Plugins.instance().discover(Launcher)]


def test_the_modules_that_every_hydra_process_executes_are_light() -> None:
    modules = ", ".join(f"hydra_plugins.{path.stem}" for path in (REPOSITORY / "hydra_plugins").glob("*.py"))
    code = (
        f"import hydra.core.plugins, hydra.utils, sys; before = set(sys.modules); import {modules}; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(printed.split()) <= {"hydra", "hydra_plugins", "persona_sweeps"}


def test_results_come_back_in_the_order_of_the_jobs(launch: Callable, tiny: tuple[str, ...], monkeypatch) -> None:
    """A sweeper reads each job's metrics from its return value, and a failed job's error likewise."""
    from persona_sweeps.execution import hydra_jobs as launching

    kept: list = []
    original = launching._job_return

    def keep(cell):
        kept.append((original(cell), cell))
        return kept[-1][0]

    monkeypatch.setattr(launching, "_job_return", keep)
    ended = launch("-m", *tiny, "train.max_steps=2", "train.warmup_ratio=0", "train.learning_rate=1e-3,1e30,1e-4")
    assert ended.code == 1
    assert [result.status for result, _ in kept] == [JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.COMPLETED]
    records = {record["run_id"]: record for record in ended.records()}
    for number, (result, cell) in enumerate(kept):
        assert cell.hydra["job"]["num"] == number and result.overrides == list(cell.overrides)
        if result.status is JobStatus.COMPLETED:
            assert result.return_value == records[cell.run_id]["metrics"]
    with pytest.raises(Exception, match="All runs that could go on did"):
        _ = kept[1][0].return_value


def test_hydra_composes_it_as_the_default() -> None:
    from persona_sweeps.config.folder import conf_folder
    from persona_sweeps.config.schema import register_schemas

    register_schemas()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = compose("config", return_hydra_config=True)
    assert config.hydra.launcher._target_ == "hydra_plugins.persona_sweeps_fused.FusedLauncher"


@pytest.mark.parametrize("sweeper", [(), ("hydra/sweeper=optuna",)])
def test_a_sweep_whose_name_leads_elsewhere_writes_nothing_there(
    launch: Callable, tmp_path: Path, sweeper: tuple[str, ...]
) -> None:
    there = tmp_path / "x" / "multirun.yaml"
    there.parent.mkdir()
    there.write_text("mine")
    ended = launch("-m", *sweeper, "sweep.name=../../x", "model.scale=tiny", "plan=only")
    assert ended.code == 1 and "sweep.name=../../x can't name a folder" in ended.err
    assert there.read_text() == "mine" and list(there.parent.iterdir()) == [there]
