"""What the stores of MLflow, Trackio and TensorBoard hold of a sweep, read through their own interfaces."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from persona_sweeps.tracking.tensorboard import escape
from tests.tracking.conftest import POINTS, SWEEP
from tests.tracking.test_wandb_offline import curve_of


def folder_of(recorded: Path, name: str) -> Path:
    return recorded / "runs" / f"run-{name:0<10}"[:18]


class TestMLflow:
    @pytest.fixture
    def runs(self, recorded: Path, push: Callable[..., str]) -> dict[str, Any]:
        push("--to", "mlflow")
        return self.read(recorded)

    def read(self, recorded: Path) -> dict[str, Any]:
        from mlflow import MlflowClient

        self.client = MlflowClient(f"sqlite:///{recorded.absolute() / 'mlflow.db'}")
        experiment = self.client.get_experiment_by_name(SWEEP)
        assert experiment is not None
        found = self.client.search_runs([experiment.experiment_id])
        assert len({run.info.run_name for run in found}) == len(found)
        return {run.info.run_name: run for run in found}

    def test_every_run_and_the_tables_are_there_in_their_state(self, runs: dict[str, Any]) -> None:
        assert runs.keys() == {f"run-{name}" for name in (*POINTS, "untuned")} | {"tables"}
        states = {name: (run.info.status, run.data.tags.get("status")) for name, run in runs.items()}
        assert states["run-failed"] == ("FAILED", "failed") and states["run-pruned"] == ("FINISHED", "pruned")
        assert runs["run-pruned"].data.tags["reason"] == "worse than the median at step 2"
        files = {file.path for file in self.client.list_artifacts(runs["tables"].info.run_id)}
        assert "leaderboard.json" in files
        files = {file.path for file in self.client.list_artifacts(runs["run-completed"].info.run_id)}
        assert files == {"adapter", "config.json", "samples.json"}

    def test_curves_params_and_metrics_are_those_of_the_records(self, runs: dict[str, Any], recorded: Path) -> None:
        for name in POINTS:
            run = runs[f"run-{name}"]
            for key in ("train_nll", "eval_nll"):
                points = self.client.get_metric_history(run.info.run_id, key)
                found = [(point.step, point.value) for point in points]
                assert found == curve_of(folder_of(recorded, name), key)
        done = runs["run-completed"].data
        evaluation = json.loads((folder_of(recorded, "completed") / "evaluations" / "e.json").read_text())
        assert {key: done.metrics[f"final/{key}"] for key in evaluation["metrics"]} == evaluation["metrics"]
        assert done.params["peft.method"] == "lora" and done.params["provenance.data_fingerprint"] == "f" * 64

    def test_a_second_push_and_one_that_knows_of_nothing_add_nothing(
        self, runs: dict[str, Any], recorded: Path, push: Callable[..., str]
    ) -> None:
        assert "0 runs shown, 5 there already" in push("--to", "mlflow")
        for path in (recorded / "sweeps" / SWEEP / "tracking").rglob("*.json"):
            path.unlink()
        push("--to", "mlflow")
        again = self.read(recorded)
        assert {name: run.info.run_id for name, run in again.items()} == {
            name: run.info.run_id for name, run in runs.items()
        }
        points = self.client.get_metric_history(again["run-completed"].info.run_id, "train_nll")
        assert len(points) == POINTS["completed"]


def test_trackio_holds_curves_metrics_states_and_tables_once(recorded: Path, tmp_path: Path) -> None:
    """In a process of its own, since Trackio takes its folder from the environment once."""
    program = f"""
import json, sys
from persona_sweeps.cli.push import main
words = ["--sweep", {SWEEP!r}, "--to", "trackio", "--output-dir", {str(recorded)!r}]
main(words)
main(words)
for path in __import__("pathlib").Path({str(recorded)!r}).glob("sweeps/*/tracking/trackio-*/*.json"):
    path.unlink()
main(words)
import trackio
from trackio.sqlite_storage import SQLiteStorage
found = {{}}
for run in trackio.Api().runs("persona-sweeps"):
    assert run.name not in found
    found[run.name] = [run.config, SQLiteStorage.get_logs("persona-sweeps", run.name, run_id=run.id)]
open({str(tmp_path / "found.json")!r}, "w").write(json.dumps(found, default=str))
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"TRACKIO_DIR": str(tmp_path / "trackio"), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "5 runs shown" in done.stdout and "0 runs shown, 5 there already" in done.stdout
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found) == 6
    for name in POINTS:
        config, rows = next(found[run] for run in found if run.startswith(f"run-{name}-"))
        assert config["_Group"] == SWEEP and config["peft"]["method"] == "lora"
        points = [(row["step"], row["train_nll"]) for row in rows if "train_nll" in row]
        assert points == curve_of(folder_of(recorded, name), "train_nll")
    _, rows = next(found[run] for run in found if run.startswith("run-pruned-"))
    assert rows[-1]["status"] == "pruned" and rows[-1]["reason"] == "worse than the median at step 2"
    _, rows = next(found[run] for run in found if run.startswith("run-completed-"))
    evaluation = json.loads((folder_of(recorded, "completed") / "evaluations" / "e.json").read_text())
    assert {key: rows[-1][f"final/{key}"] for key in evaluation["metrics"]} == evaluation["metrics"]


class TestTensorBoard:
    @pytest.fixture
    def events(self, recorded: Path, push: Callable[..., str]) -> Callable[[str], Any]:
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        push("--to", "tensorboard")
        return lambda name: EventAccumulator(str(folder_of(recorded, name) / "tensorboard")).Reload()

    def text_of(self, events: Any, tag: str) -> str:
        return events.Tensors(f"{tag}/text_summary")[-1].tensor_proto.string_val[0].decode()

    def test_curves_metrics_settings_and_states(self, events: Callable[[str], Any], recorded: Path) -> None:
        from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

        for name in POINTS.keys() - {"earlier"}:  # which is shown in the folder of the sweep
            read = events(name)
            for key in ("train_nll", "eval_nll"):
                points, kept = read.Scalars(key), curve_of(folder_of(recorded, name), key)
                assert [point.step for point in points] == [step for step, _ in kept]
                assert [point.value for point in points] == pytest.approx([value for _, value in kept])
        read = events("pruned")
        assert "pruned" in self.text_of(read, "status") and "median" in self.text_of(read, "status")
        plugin = read.summary_metadata["_hparams_/session_start_info"].plugin_data
        shown = HParamsPluginData.FromString(plugin.content).session_start_info.hparams
        assert shown["peft.r"].number_value == len("pruned") and shown["status"].string_value == "pruned"
        assert shown["peft.method"].string_value == "lora"
        evaluation = json.loads((folder_of(recorded, "completed") / "evaluations" / "e.json").read_text())
        for key, value in evaluation["metrics"].items():
            assert [point.value for point in events("completed").Scalars(f"final/{key}")] == pytest.approx([value])

    def test_samples_show_markup_as_text(self, events: Callable[[str], Any]) -> None:
        from tensorboard.plugin_util import markdown_to_safe_html

        rendered = markdown_to_safe_html(self.text_of(events("completed"), "samples"))
        cells = [html.unescape(cell) for cell in re.findall(r"<td>(.*?)</td>", rendered, flags=re.DOTALL)]
        assert cells[4] == "to be or <b>not</b>"

    def test_a_second_push_that_knows_of_nothing_replaces_what_is_there(
        self, events: Callable[[str], Any], recorded: Path, push: Callable[..., str]
    ) -> None:
        for path in (recorded / "sweeps" / SWEEP / "tracking").rglob("*.json"):
            path.unlink()
        push("--to", "tensorboard")
        assert len(events("completed").Scalars("train_nll")) == POINTS["completed"]


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=30))
def test_escaped_text_renders_as_it_stands(text: str) -> None:
    from tensorboard.plugin_util import markdown_to_safe_html

    rendered = markdown_to_safe_html(f"| {escape(text)} |\n| --- |\n| x |")
    cell = re.findall(r"<th>(.*?)</th>", rendered, flags=re.DOTALL)
    assert [html.unescape(found) for found in cell] == [text]
