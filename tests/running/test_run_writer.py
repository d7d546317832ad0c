"""A run's folder from its opening to its end."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.run import read_record
from persona_sweeps.running.run_writer import OF_EVALUATION, RunWriter

SECRET = "hf_" + "a" * 34


@pytest.fixture
def writer(make_cell: Callable, tiny: tuple[str, ...], tmp_path: Path) -> RunWriter:
    return RunWriter(make_cell(*tiny, f"output_dir={tmp_path}", "seed=3"))


def record_of(writer: RunWriter) -> dict:
    record = read_record(writer.folder)
    assert record is not None
    return record


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_run_says_that_it_is_running_from_its_start(writer: RunWriter) -> None:
    record = record_of(writer)
    assert (record["status"], record["failure"], record["provenance"]["finished"]) == ("running", None, None)
    assert record["run_id"] == writer.cell.run_id and record["provenance"]["seed"] == 3


def test_the_record_s_config_makes_the_same_run_again(writer: RunWriter, make_cell: Callable) -> None:
    overrides = OmegaConf.load(writer.folder.hydra / "overrides.yaml")
    assert make_cell(*overrides).run_id == writer.cell.run_id
    config = OmegaConf.load(writer.folder.hydra / "config.yaml")
    assert config == writer.cell.resolved
    assert {key: config[key] for key in config if key not in OF_EVALUATION} == record_of(writer)["config"]
    assert (writer.folder.hydra / "hydra.yaml").exists()


def test_history_grows_a_line_a_step_and_stays_json_when_a_loss_is_none(writer: RunWriter) -> None:
    writer.log({"step": 1, "train_nll": 2.5})
    writer.log({"step": 2, "train_nll": math.nan, "eval_nll": math.inf})
    assert lines(writer.folder.history) == [
        {"step": 1, "train_nll": 2.5},
        {"step": 2, "train_nll": None, "eval_nll": None},
    ]


def test_completing_writes_what_training_came_to_and_nothing_of_an_evaluation(writer: RunWriter) -> None:
    writer.outcome.training = {"steps": 3, "final_train_nll": 2.0, "eval_nll": math.inf}
    writer.complete()
    record = record_of(writer)
    assert record["status"] == "completed" and record["training"] == {
        "steps": 3, "final_train_nll": 2.0, "eval_nll": None
    }  # fmt: skip
    assert record["resources"]["wall_seconds"] >= 0 and record["provenance"]["finished"] is not None
    assert not {"metrics", "samples"} & record.keys() and not writer.folder.evaluations.exists()


def test_a_failure_says_what_and_where_and_no_secret(writer: RunWriter) -> None:
    try:
        raise ValueError(f"no access with {SECRET}")
    except ValueError as error:
        writer.fail(error)
    record = record_of(writer)
    assert record["status"] == "failed" and record["failure"]["type"] == "ValueError"
    assert record["failure"]["message"] == "no access with <redacted>"
    assert "test_run_writer" in record["failure"]["traceback_tail"]
    for path in writer.folder.path.rglob("*"):
        assert path.is_dir() or SECRET not in path.read_text()


def test_a_run_cut_short_keeps_saying_that_it_runs(writer: RunWriter) -> None:
    writer.log({"step": 1, "train_nll": 2.5})
    writer.close()
    assert record_of(writer)["status"] == "running" and len(lines(writer.folder.history)) == 1


def test_a_second_try_begins_its_history_anew_and_goes_on_with_the_log(writer: RunWriter) -> None:
    writer.log({"step": 1, "train_nll": 2.5})
    writer.close()
    again = RunWriter(writer.cell)
    again.log({"step": 1, "train_nll": 2.25})
    again.complete()
    assert lines(writer.folder.history) == [{"step": 1, "train_nll": 2.25}]
    assert writer.folder.log.read_text().count("started") == 2


def test_secrets_in_hydra_s_config_stay_out_of_the_folder(make_cell: Callable, tiny, tmp_path: Path) -> None:
    cell = make_cell(*tiny, f"output_dir={tmp_path}")
    cell.hydra["job"] = {"env_set": {"WANDB_API_KEY": "plain-words", "HF_TOKEN": SECRET}}
    cell.hydra["overrides"] = {"hydra": ["+hydra.job.env_set.WANDB_API_KEY=plain-words"]}
    RunWriter(cell).complete()
    text = (RunFolder(cell.folder.path).hydra / "hydra.yaml").read_text()
    assert "plain-words" not in text and SECRET not in text and "env_set" in text
