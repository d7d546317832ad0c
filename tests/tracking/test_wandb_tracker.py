"""What the real W&B client writes offline for runs that are live side by side in one process."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps import tracking
from persona_sweeps.config.schema import RunConfig, SweepConfig
from persona_sweeps.tracking.wandb import Wandb

wandb = pytest.importorskip("wandb")

SAMPLE = {"id": "1", "persona": "Hamlet", "prompt": "Who's there?", "reference": "Nay", "prediction": "Me", "rouge1": 0}
BLOCK, FILE_HEADER, RECORD_HEADER = 32768, 7, 7


def frames(path: Path) -> Iterator[bytes]:
    """Yield the records of a .wandb file: LevelDB's log format after a header of seven bytes."""
    data, offset, parts = path.read_bytes(), FILE_HEADER, b""
    while offset + RECORD_HEADER <= len(data):
        room = BLOCK - offset % BLOCK
        if room < RECORD_HEADER:
            offset += room
            continue
        length, kind = int.from_bytes(data[offset + 4 : offset + 6], "little"), data[offset + 6]
        parts += data[offset + RECORD_HEADER : offset + RECORD_HEADER + length]
        offset += RECORD_HEADER + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield parts
            parts = b""


class Recorded:
    """The parts of a .wandb file that these tests look at."""

    def __init__(self, folder: Path) -> None:
        from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

        (path,) = folder.glob("wandb/offline-run-*/run-*.wandb")
        self.history: list[dict[str, Any]] = []
        self.summary: dict[str, Any] = {}
        self.exit_codes: list[int] = []
        self.step_metrics: dict[str, str] = {}
        for frame in frames(path):
            record = Record.FromString(frame)
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.run = record.run
            elif kind == "history":
                self.history.append(as_dict(record.history.item))
            elif kind == "summary":
                self.summary |= as_dict(record.summary.update)
            elif kind == "exit":
                self.exit_codes.append(record.exit.exit_code)
            elif kind == "metric":
                self.step_metrics[record.metric.glob_name or record.metric.name] = record.metric.step_metric
        self.config = as_dict(self.run.config.update)
        self.folder = path.parent


def as_dict(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def config_for(**options: Any) -> RunConfig:
    return RunConfig(
        tracker=Wandb(kind="wandb", **{"project": "plays", "mode": "offline", **options}),
        sweep=SweepConfig(name="ranks"),
    )


def resolved(rank: int) -> dict[str, Any]:
    return {"peft": {"method": "lora", "r": rank}, "train": {"learning_rate": 1e-4}, "dataset": {"persona": None}}


def run_apart(program: str, home: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a program in a process of its own, with no W&B setting, key file or proxy but those given."""
    kept = {key: value for key, value in os.environ.items() if "WANDB" not in key and "proxy" not in key.lower()}
    return subprocess.run(
        [sys.executable, "-c", program],
        cwd=home,
        env={**kept, "HOME": str(home), "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Three runs that live at the same time and end differently."""
    root = tmp_path_factory.mktemp("runs")
    statuses = {"completed": 4, "pruned": 8, "failed": 16}
    live = {
        status: tracking.start(config_for(tags=["demo"]), resolved(rank), root / status, f"run{rank}", f"lora-r{rank}")
        for status, rank in statuses.items()
    }
    for step in (10, 20, 20):
        for status, tracker in live.items():
            tracker.log(step, {"train_nll": statuses[status] / step})
    for status, tracker in live.items():
        tracker.finish(status, {"completion_ppl": 7.5}, [SAMPLE] if status == "completed" else [])
    # A run's file may still be written when `finish` returns; the end of W&B's service is the end of its writing.
    wandb.teardown()
    return {status: root / status for status in statuses}


def test_each_live_run_has_its_own_name_id_group_and_tags(folders: dict[str, Path]) -> None:
    for status, rank in {"completed": 4, "pruned": 8, "failed": 16}.items():
        run = Recorded(folders[status]).run
        assert (run.run_id, run.display_name, run.run_group, run.project) == (
            f"run{rank}",
            f"lora-r{rank}",
            "ranks",
            "plays",
        )
        assert list(run.tags) == ["demo"]


def test_config_is_nested_as_hydra_has_it(folders: dict[str, Path]) -> None:
    config = Recorded(folders["pruned"]).config
    config.pop("_wandb", None)
    assert config == resolved(8)


def test_curves_run_over_the_step_and_keep_two_points_of_one_step(folders: dict[str, Path]) -> None:
    recorded = Recorded(folders["failed"])
    points = [(row["step"], row["train_nll"]) for row in recorded.history if "train_nll" in row]
    assert points == [(10, 1.6), (20, 0.8), (20, 0.8)]
    assert recorded.step_metrics["*"] == "step"


def test_final_metrics_and_the_true_end_state_are_kept(folders: dict[str, Path]) -> None:
    for status, exit_code in {"completed": 0, "pruned": 0, "failed": 1}.items():
        recorded = Recorded(folders[status])
        assert recorded.summary["status"] == status and recorded.summary["completion_ppl"] == 7.5
        assert recorded.exit_codes == [exit_code]


def test_samples_are_a_table(folders: dict[str, Path]) -> None:
    (path,) = Recorded(folders["completed"]).folder.glob("files/media/table/samples*.table.json")
    table = json.loads(path.read_text())
    assert table["columns"] == ["id", "persona", "prompt", "reference", "prediction"]
    assert table["data"] == [["1", "Hamlet", "Who's there?", "Nay", "Me"]]


def test_a_run_folder_removed_while_running_stops_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracker = tracking.start(config_for(), resolved(2), tmp_path / "gone", "run2", "lora-r2")
    shutil.rmtree(tmp_path / "gone")
    tracker.log(1, {"train_nll": 1.0})
    tracker.finish("completed", {"completion_ppl": 2.0}, [SAMPLE])
    wandb.teardown()
    assert sum(record.levelno >= logging.WARNING for record in caplog.records) <= 1


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "no API key is configured"),
        ({"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}, "no connection to http://127.0.0.1:9"),
        ({"WANDB_MODE": "offline"}, None),
    ],
)
def test_without_a_key_or_a_connection_runs_go_offline_and_say_so_once(
    tmp_path: Path, environment: dict[str, str], said: str | None
) -> None:
    program = """
import logging, pathlib
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
from persona_sweeps import tracking
from persona_sweeps.config.schema import RunConfig, SweepConfig
from persona_sweeps.tracking.wandb import Wandb
config = RunConfig(tracker=Wandb(kind="wandb", project="p"), sweep=SweepConfig(name="s"))
live = [tracking.start(config, {}, pathlib.Path(f"run{k}"), f"run{k}", "n") for k in range(2)]
for tracker in live:
    tracker.log(1, {"x": 1.0})
    tracker.finish("completed", {}, [])
"""
    done = run_apart(program, tmp_path, environment)
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.glob("run*/wandb/offline-run-*"))) == 2
    lines = (done.stdout + done.stderr).splitlines()
    assert len(lines) == (said is not None), lines
    assert said is None or said in lines[0]


@pytest.mark.slow
@pytest.mark.long
def test_only_the_first_run_waits_for_a_server_that_never_answers(tmp_path: Path) -> None:
    program = """
import logging, pathlib, socket
logging.basicConfig(level=logging.INFO, format="%(message)s")
from persona_sweeps import tracking
from persona_sweeps.config.schema import RunConfig, SweepConfig
from persona_sweeps.tracking.wandb import Wandb
from persona_sweeps.tracking import wandb as kind
import os
silent = socket.create_server(("127.0.0.1", 0))
os.environ["WANDB_BASE_URL"] = f"http://127.0.0.1:{silent.getsockname()[1]}"
kind.INIT_SECONDS = 2
config = RunConfig(tracker=Wandb(kind="wandb", project="p"), sweep=SweepConfig(name="s"))
for k in range(3):
    tracker = tracking.start(config, {}, pathlib.Path(f"run{k}"), f"run{k}", "n")
    tracker.log(1, {"x": 1.0})
    tracker.finish("completed", {}, [])
"""
    done = run_apart(program, tmp_path, {"WANDB_API_KEY": "0" * 40})
    assert done.returncode == 0, done.stderr
    assert "of run run0 is switched off" in done.stderr and "an earlier run couldn't start" in done.stderr
    assert "run1 is" not in done.stderr and "run2 is" not in done.stderr
    assert len(list(tmp_path.glob("run[12]/wandb/offline-run-*"))) == 2
