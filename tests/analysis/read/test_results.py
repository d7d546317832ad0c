"""Reading what runs leave behind: nothing that is on disk can break a report, and nothing goes unmentioned."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.__main__ import main
from analysis.read.results import read_all, read_sweep
from persona_sweeps.errors import UserError


def test_a_record_is_read_by_dotted_path(outputs: Any) -> None:
    outputs.run(change={"metrics.bleu": "high"})
    (record,) = read_all(outputs.root).records
    assert record.get("config.peft.r") == 8 and record.number("metrics.completion_ppl") == 10
    assert record.get("config.peft.r.deeper") is None and record.number("metrics.bleu") is None
    assert record.number("failure") is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"schema_version": 2}', "schema_version is 2"),
        ('{"run_id": "a"}', "schema_version is None"),
        ('{"schema_version": 1, "run_id": "a", "config": {}, "status": "great"}', "status is 'great'"),
        ('{"schema_version": 1, "run_id": "a", "config": {}, "status": "completed"}', "without a comparability_key"),
        ('{"schema_version": 1, "status": "completed"}', "lacks run_id or config"),
        ("[" * 100_000, "not JSON"),
        ("\x00\ufffd", "not JSON"),
    ],
)
def test_a_garbage_record_is_set_aside_by_name(
    outputs: Any, text: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.run()
    path = outputs.write("runs/broken-1/run.json", text)
    assert main(["--output-dir", str(outputs.root)]) == 0
    shown = capsys.readouterr().out
    assert f"Set aside: {path}: " in shown and reason in shown


def test_a_run_folder_without_a_record_and_a_copied_record_are_told(outputs: Any) -> None:
    run_id = outputs.run()
    (outputs.root / "runs" / "empty").mkdir()
    outputs.write("runs/zz-copy/run.json", (outputs.folder(run_id) / "run.json").read_text())
    selection = read_all(outputs.root)
    assert [record.run_id for record in selection.records] == [run_id]
    assert sorted(problem.reason for problem in selection.problems) == [
        "the file is missing",
        f"the same run id as lora-1-{run_id}",
    ]


def test_a_sweep_has_its_cells_in_order_and_says_which_have_no_record(outputs: Any) -> None:
    first, second, _other = (outputs.run(change={"config.seed": seed}) for seed in range(3))
    outputs.sweep("demo", [second, first], [{"overrides": ["peft=none"], "run_id": "beef", "state": "failed"}, 7])
    outputs.write("runs/elsewhere/run.json", "garbage of another sweep")
    selection = read_sweep(outputs.root, "demo")
    assert [record.run_id for record in selection.records] == [second, first]
    assert selection.absent == ["peft=none (run beef, failed)", "unreadable cell 7"]
    assert selection.problems == []


def test_a_broken_sweep_file_falls_back_on_the_runs_that_name_the_sweep(outputs: Any) -> None:
    run_id = outputs.run()
    outputs.run(change={"config.sweep.name": "another"})
    for text in ("{", '{"schema_version": 1}'):
        path = outputs.write("sweeps/demo/sweep.json", text)
        selection = read_sweep(outputs.root, "demo")
        assert [record.run_id for record in selection.records] == [run_id]
        assert [problem.path for problem in selection.problems] == [path]


def test_an_unknown_sweep_names_the_nearest(outputs: Any) -> None:
    outputs.sweep("ranks", [])
    with pytest.raises(UserError, match="No sweep is called 'rank'. Did you mean ranks"):
        read_sweep(outputs.root, "rank")
    with pytest.raises(UserError):
        read_sweep(outputs.root, "../runs")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
places = st.sampled_from(
    ["name", "metrics", "training", "resources", "provenance", "data", "failure", "metrics.completion_ppl"]
    + ["status", "comparability_key", "config.model", "config.model.name", "config.peft", "config.peft.method"]
    + ["config.peft.r", "config.train", "config.train.learning_rate", "config.seed", "config.dataset", "config"]
    + ["config.dataset.persona", "metrics.bits_per_byte", "training.trainable_parameters", "resources.wall_seconds"]
    + ["resources.device", "data.eval_examples", "metrics.rougeL", "config.quantization.method", "run_id"]
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(places, json_values), min_size=1, max_size=3), samples=st.binary(max_size=40))
def test_no_value_anywhere_in_a_record_breaks_a_report(
    new_outputs: Callable[[], Any], changes: list[tuple[str, Any]], samples: bytes
) -> None:
    outputs = new_outputs()
    outputs.run("none")
    outputs.run("prompt_tuning")
    run_id = outputs.run("lora")
    path = outputs.folder(run_id) / "run.json"
    record = json.loads(path.read_text())
    for dotted, value in changes:
        *parents, last = dotted.split(".")
        place = record
        for key in parents:
            place = place[key] if isinstance(place, dict) and isinstance(place.get(key), dict) else {}
        place[last] = value
    path.write_text(json.dumps(record))
    (outputs.folder(run_id) / "samples.jsonl").write_bytes(samples)
    assert main(["--output-dir", str(outputs.root)]) == 0
