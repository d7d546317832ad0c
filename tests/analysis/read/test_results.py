"""Reading what runs leave behind: nothing that is on disk can break a report, and nothing goes unmentioned."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.__main__ import main
from analysis.read.find import find
from analysis.read.results import put_together
from analysis.read.selection import read_all, read_sweep
from persona_sweeps.errors import UserError
from tests.analysis.outputs import Outputs


def test_a_result_is_read_by_dotted_path(outputs: Outputs) -> None:
    outputs.run(change={"metrics.bleu": "high"})
    (result,) = read_all(outputs.root).results
    assert result.get("config.peft.r") == 8 and result.number("metrics.completion_ppl") == 10
    assert result.get("config.peft.r.deeper") is None and result.number("metrics.bleu") is None
    assert result.number("failure") is None


def test_a_run_and_its_evaluation_are_one_result_that_keeps_apart_what_both_have(outputs: Outputs) -> None:
    run_id = outputs.run("none", change={"config.seed": 3, "evaluation.resources.cpu_seconds": 7})
    (result,) = read_all(outputs.root).results
    assert (result.run_id, result.evaluation_id) == (run_id, outputs.evaluation(run_id).stem)
    assert result.is_scored and result.key == "aaaaaaaaaaaa"
    assert result.get("config.dataset.persona") == "HAMLET", "the evaluation's: an untuned base was trained on none"
    assert result.number("resources.cpu_seconds") == 118 and result.number("evaluation.resources.cpu_seconds") == 7
    assert result.number("data.train_examples") == 500 and result.number("evaluation.data.eval_examples") == 48
    assert result.seed is None, "no seed changes what an untuned base says greedily"
    assert result.samples() == outputs.samples(run_id)


@pytest.mark.parametrize("status", ["failed", "pruned", "running"])
def test_a_run_without_an_evaluation_is_a_result_without_metrics(status: str, outputs: Outputs) -> None:
    outputs.run(status=status)
    (result,) = read_all(outputs.root).results
    assert result.evaluation_id is None and not result.is_scored and result.part("metrics") == {}
    assert result.key is None and result.samples() is None and result.all_samples() == []


def test_an_evaluation_that_failed_is_reported_and_not_ranked(
    outputs: Outputs, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = outputs.run()
    failure = {"type": "TrialError", "message": "no text can be scored"}
    record = json.loads(outputs.evaluation(run_id).read_text())
    outputs.evaluation(run_id).write_text(
        json.dumps(record | {"failure": failure, "metrics": {}, "descriptions": {}, "comparability_key": None})
    )
    (result,) = read_all(outputs.root).results
    assert (result.status, result.run_status, result.is_scored) == ("failed", "completed", False)
    assert main(["leaderboard", "--output-dir", str(outputs.root)]) == 0
    shown = capsys.readouterr().out
    assert "could not be evaluated: TrialError: no text can be scored." in shown and result.evaluation_id in shown


def test_a_trained_run_that_waits_for_its_evaluation_is_reported(
    outputs: Outputs, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = outputs.run()
    outputs.evaluation(run_id).unlink()
    assert main(["leaderboard", "--output-dir", str(outputs.root)]) == 0
    assert f"run {run_id}) is trained, and not evaluated yet." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"schema_version": 1}', "schema_version is 1"),
        ('{"run_id": "a"}', "schema_version is None"),
        ('{"schema_version": 2, "run_id": "a", "setting_key": "b", "config": {}, "status": "ok"}', "status is 'ok'"),
        ('{"schema_version": 2, "run_id": "a", "config": {}, "status": "completed"}', "lacks run_id, setting_key"),
        ('{"schema_version": 2, "status": "completed"}', "lacks run_id, setting_key or config"),
        ("[" * 100_000, "not JSON"),
        ("\x00\ufffd", "not JSON"),
    ],
)
def test_a_garbage_record_is_set_aside_by_name(
    outputs: Outputs, text: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.run()
    path = outputs.write("runs/broken-1/run.json", text)
    assert main(["--output-dir", str(outputs.root)]) == 0
    shown = capsys.readouterr().out
    assert f"Set aside: {path}: " in shown and reason in shown


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"schema_version": 1}, "schema_version is 1"),
        ({"evaluation_id": "another"}, "isn't that of its file and folder"),
        ({"run_id": "another"}, "isn't that of its file and folder"),
        ({"descriptions": None}, "lacks metrics, descriptions or config"),
        ({"comparability_key": None}, "without a comparability_key"),
    ],
)
def test_a_garbage_evaluation_is_set_aside_and_its_run_stays(
    outputs: Outputs, change: dict[str, Any], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run_id = outputs.run()
    path = outputs.evaluation(run_id)
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    selection = read_all(outputs.root)
    assert [(result.run_id, result.evaluation_id) for result in selection.results] == [(run_id, None)]
    assert [problem.path for problem in selection.problems] == [path] and reason in selection.problems[0].reason
    assert main(["--output-dir", str(outputs.root)]) == 0
    assert f"Set aside: {path}: " in capsys.readouterr().out


def test_a_run_folder_without_a_record_and_a_copied_record_are_reported(outputs: Outputs) -> None:
    run_id = outputs.run()
    (outputs.root / "runs" / "empty").mkdir()
    outputs.write("runs/zz-copy/run.json", (outputs.folder(run_id) / "run.json").read_text())
    selection = read_all(outputs.root)
    assert [result.run_id for result in selection.results] == [run_id]
    assert sorted(problem.reason for problem in selection.problems) == [
        "the file is missing",
        f"the same run id as lora-1-{run_id}",
    ]


def test_evaluations_of_a_run_that_may_be_compared_are_one_row_with_all_metrics(outputs: Outputs) -> None:
    run_id = outputs.run()
    outputs.evaluate(run_id, {"rougeL": 0.3, "mine": 0.5}, {"evaluation.provenance.created": "2026-11-21"}, number=1)
    selection = read_all(outputs.root)
    assert len(selection.results) == 2 and len(selection.runs()) == 1
    (row,) = put_together(selection.results)
    assert row.number("metrics.completion_ppl") == 10 and row.number("metrics.mine") == 0.5
    assert row.number("metrics.rougeL") == 0.3, "the one made last counts"
    first, second = (result.evaluation_id for result in selection.results)
    assert row.samples("completion_ppl") == outputs.samples(run_id) and row.evaluation_ids == [first, second]
    assert str(row.samples("mine")).endswith(f"{second}.samples.jsonl")


def test_two_samplings_of_one_untuned_base_are_two_seeds(outputs: Outputs) -> None:
    sampled = {"config.generation": {"method": "nucleus", "max_new_tokens": 64}}
    run_id = outputs.run("none", change=sampled)
    outputs.configs[run_id]["seed"] = 1
    outputs.evaluate(run_id, {"rougeL": 0.3}, number=1)
    results = put_together(read_all(outputs.root).results)
    assert [result.seed for result in results] == [0, 1]


def test_a_sweep_has_the_evaluations_that_its_cells_name_in_order_and_says_which_have_no_record(
    outputs: Outputs,
) -> None:
    first, second, _other = (outputs.run(change={"config.seed": seed}) for seed in range(3))
    more = outputs.evaluate(first, {"rougeL": 0.3}, {"comparability_key": "b" * 12}, number=1)
    absent = [{"overrides": ["peft=none"], "run_id": "beef", "state": "failed"}, 7]
    outputs.sweep("demo", [second, first], absent)
    outputs.write("runs/elsewhere/run.json", "garbage of another sweep")
    selection = read_sweep(outputs.root, "demo")
    found = [(result.run_id, result.evaluation_id) for result in selection.results]
    assert found == [(second, outputs.evaluation(second).stem), (first, outputs.evaluation(first).stem)]
    assert selection.absent == ["peft=none (run beef, failed)", "unreadable cell 7"]
    assert selection.problems == []
    outputs.sweep("demo", [], [outputs.cell(first, evaluation_id=more), outputs.cell(second, evaluation_id="gone")])
    found = [(result.run_id, result.evaluation_id) for result in read_sweep(outputs.root, "demo").results]
    assert found == [(first, more), (second, None)], "of an evaluation that isn't there the run alone is reported"


def test_a_broken_evaluation_is_reported_with_the_sweep_that_asked_for_it(outputs: Outputs) -> None:
    first, second = outputs.run(), outputs.run(change={"config.seed": 1})
    for run_id in (first, second):
        outputs.evaluation(run_id).write_text("{")
    outputs.sweep("demo", [first])
    assert [problem.path for problem in read_sweep(outputs.root, "demo").problems] == [outputs.evaluation(first)]


def test_a_broken_sweep_file_falls_back_on_the_runs_that_name_the_sweep(outputs: Outputs) -> None:
    run_id = outputs.run()
    outputs.run(change={"config.sweep.name": "another"})
    for text in ("{", '{"schema_version": 2}'):
        path = outputs.write("sweeps/demo/sweep.json", text)
        selection = read_sweep(outputs.root, "demo")
        assert [result.run_id for result in selection.results] == [run_id]
        assert [problem.path for problem in selection.problems] == [path]


def test_an_unknown_sweep_names_the_nearest(outputs: Outputs) -> None:
    outputs.sweep("ranks", [])
    with pytest.raises(UserError, match="No sweep is called 'rank'. Did you mean ranks"):
        read_sweep(outputs.root, "rank")
    with pytest.raises(UserError):
        read_sweep(outputs.root, "../runs")


def test_one_of_several_evaluations_is_found_by_its_own_id(outputs: Outputs) -> None:
    run_id = outputs.run()
    more = outputs.evaluate(run_id, {"rougeL": 0.3}, number=1)
    results = read_all(outputs.root).results
    with pytest.raises(UserError, match="2 results are meant"):
        find(run_id, results, "run")
    assert find(f"{run_id}/{more}", results, "run").evaluation_id == more
    assert find(f"runs/lora-1-{run_id}/f", results, "run").evaluation_id == more


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
run_paths = st.sampled_from(
    ["name", "training", "resources", "provenance", "data", "failure", "predictor", "predictor.label", "setting_key"]
    + ["predictor.has_model", "predictor.trains", "predictor.is_reference", "predictor.description", "status"]
    + ["predictor.is_ceiling"]
    + ["config.model", "config.model.name", "config.peft", "config.peft.method", "config.peft.r", "config.train"]
    + ["config.train.learning_rate", "config.seed", "config.dataset", "config", "config.dataset.persona", "run_id"]
    + ["training.trainable_parameters", "resources.wall_seconds", "resources.device", "config.quantization.method"]
)
evaluation_paths = st.sampled_from(
    ["metrics", "metrics.completion_ppl", "metrics.rougeL", "comparability_key", "config", "config.dataset", "failure"]
    + ["config.generation", "data", "data.eval_examples", "resources", "provenance", "provenance.seed", "predictions"]
    + ["descriptions", *(f"descriptions.completion_ppl{key}" for key in ("", ".label", ".range", ".format"))]
    + [f"descriptions.completion_ppl.{key}" for key in ("higher_is_better", "headline", "aggregate", "per_token")]
    + [f"descriptions.completion_ppl.{key}" for key in ("version", "log_scale", "explanation", "aggregate.numerator")]
)


def change(record: dict[str, Any], dotted: str, value: Any) -> None:
    *parents, last = dotted.split(".")
    node = record
    for key in parents:
        node = node[key] if isinstance(node, dict) and isinstance(node.get(key), dict) else {}
    node[last] = value


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    of_run=st.lists(st.tuples(run_paths, json_values), max_size=2),
    of_evaluation=st.lists(st.tuples(evaluation_paths, json_values), max_size=2),
    samples=st.binary(max_size=40),
)
def test_no_value_anywhere_in_a_record_breaks_a_report(
    new_outputs: Callable[[], Outputs],
    of_run: list[tuple[str, Any]],
    of_evaluation: list[tuple[str, Any]],
    samples: bytes,
) -> None:
    outputs = new_outputs()
    outputs.run("none")
    outputs.run("prompt_tuning")
    run_id = outputs.run("lora")
    for path, changes in ((outputs.folder(run_id) / "run.json", of_run), (outputs.evaluation(run_id), of_evaluation)):
        record = json.loads(path.read_text())
        for dotted, value in changes:
            change(record, dotted, value)
        path.write_text(json.dumps(record))
    outputs.samples(run_id).write_bytes(samples)
    assert main(["--output-dir", str(outputs.root)]) == 0
    assert main(["report", "--output-dir", str(outputs.root)]) == 0
