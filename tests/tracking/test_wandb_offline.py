"""What the real W&B client writes offline of a sweep that was trained before."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.tracking.conftest import POINTS, SWEEP
from tests.tracking.wandb_files import Recorded, read_all

wandb = pytest.importorskip("wandb")


def curve_of(folder: Path, key: str) -> list[tuple[int, float]]:
    points = [json.loads(line) for line in (folder / "history.jsonl").read_text().splitlines()]
    return [(point["step"], point[key]) for point in points if point.get(key) is not None]


@pytest.fixture
def runs(recorded: Path, push: Callable[..., str]) -> dict[str, Recorded]:
    push("--to", "wandb", "mode=offline", "tags=[demo]")
    wandb.teardown()
    return read_all(recorded)


def test_every_run_is_there_once_in_its_state_and_the_tables_too(runs: dict[str, Recorded], recorded: Path) -> None:
    by_name = {one.run.display_name: one for one in runs.values()}
    assert by_name.keys() == {f"run-{name}" for name in (*POINTS, "untuned")} | {f"{SWEEP} tables"}
    assert {one.run.run_group for one in runs.values()} == {SWEEP}
    kinds = {name: (one.run.job_type, one.summary.get("status"), one.exit_codes) for name, one in by_name.items()}
    assert kinds["run-completed"] == ("train", "completed", [0])
    assert kinds["run-pruned"] == ("train", "pruned", [0])
    assert kinds["run-failed"] == ("train", "failed", [1])
    assert kinds["run-untuned"] == ("reference", "completed", [0])
    assert "tables/leaderboard._type" in by_name[f"{SWEEP} tables"].summary
    assert list(by_name["run-pruned"].run.tags) == ["demo", "train", f"sweep:{SWEEP}", "pruned"]


def test_curves_are_those_of_the_history_and_know_their_best(runs: dict[str, Recorded], recorded: Path) -> None:
    for name in POINTS:
        one = next(one for one in runs.values() if one.run.display_name == f"run-{name}")
        for key in ("train_nll", "eval_nll", "learning_rate"):
            assert one.curve(key) == curve_of(recorded / "runs" / f"run-{name:0<10}"[:18], key), (name, key)
        assert one.metrics["train_nll"].step_metric == "step"
        summary = one.metrics["train_nll"].summary
        assert summary.min and summary.last and not one.metrics["learning_rate"].summary.min


def test_a_run_has_its_metrics_reasons_samples_and_provenance(runs: dict[str, Recorded], recorded: Path) -> None:
    done = runs["completed0"]
    evaluation = json.loads((recorded / "runs" / "run-completed0" / "evaluations" / "e.json").read_text())
    assert {key: done.summary[key] for key in evaluation["metrics"]} == evaluation["metrics"]
    assert done.config["peft"]["method"] == "lora" and done.config["provenance"]["data_fingerprint"] == "f" * 64
    (path,) = done.folder.glob("files/media/table/samples*.table.json")
    table = json.loads(path.read_text())
    assert table["columns"] == ["id", "persona", "prompt", "reference", "prediction"]
    assert [row[4] for row in table["data"]] == ["to be or <b>not</b>"] * 3
    assert done.artifacts["adapter-completed0"] == "model"
    pruned = next(one for one in runs.values() if one.run.display_name == "run-pruned")
    assert pruned.summary["reason"] == "worse than the median at step 2" and pruned.config["study"]["trial"] == 3
    failed = next(one for one in runs.values() if one.run.display_name == "run-failed")
    assert failed.summary["reason"] == "the loss diverged"


def test_a_run_of_another_sweep_is_there_under_an_id_of_its_own(runs: dict[str, Recorded]) -> None:
    (earlier,) = (one for one in runs.values() if one.run.display_name == "run-earlier")
    assert earlier.run.run_id.startswith("earlier000-") and "earlier" in earlier.run.tags


def test_a_second_push_changes_nothing(recorded: Path, push: Callable[..., str], runs: dict[str, Recorded]) -> None:
    before = sorted(recorded.rglob("*.wandb"))
    assert "0 runs shown, 5 there already" in push("--to", "wandb", "mode=offline")
    wandb.teardown()
    assert sorted(recorded.rglob("*.wandb")) == before


def test_a_run_with_another_evaluation_is_written_again_in_place(
    recorded: Path, push: Callable[..., str], runs: dict[str, Recorded]
) -> None:
    path = recorded / "runs" / "run-completed0" / "evaluations" / "e.json"
    record = json.loads(path.read_text())
    record["metrics"]["rougeL"] = 0.75
    path.write_text(json.dumps(record))
    assert "1 run shown, 4 there already" in push("--to", "wandb", "mode=offline")
    wandb.teardown()
    assert read_all(recorded)["completed0"].summary["rougeL"] == 0.75


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({}, "no API key is configured"),
        ({"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": "http://127.0.0.1:9"}, "no connection to http://127.0.0.1:9"),
        ({"WANDB_MODE": "offline"}, None),
    ],
)
def test_without_a_key_or_a_connection_runs_are_kept_offline_and_it_says_so_once(
    recorded: Path, tmp_path: Path, environment: dict[str, str], said: str | None
) -> None:
    kept = {key: value for key, value in os.environ.items() if "WANDB" not in key and "proxy" not in key.lower()}
    done = subprocess.run(
        [sys.executable, "-m", "persona_sweeps", "push", "--sweep", SWEEP, "--to", "wandb"]
        + ["--output-dir", str(recorded)],
        env={**kept, "HOME": str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[2]), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert len(read_all(recorded)) == 6
    lines = [line for line in done.stdout.splitlines() if "kept offline" in line]
    assert len(lines) == 1 and "wandb sync" in lines[0] and (said is None or said in lines[0])
