"""Studies are read from sweep.json and records; what is odd in either is told, and breaks nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analysis.__main__ import main
from analysis.read.selection import read_all, read_sweep
from analysis.read.studies import Study


def only_study(outputs: Any) -> Study:
    (study,) = read_sweep(outputs.root, "s").studies
    return study


def reasons(outputs: Any) -> list[str]:
    return [problem.reason for problem in read_sweep(outputs.root, "s").problems]


def test_a_study_has_its_trials_in_order_with_values_and_costs(outputs: Any) -> None:
    cells = [
        outputs.trial("a", 1, 2.5, {"peft.r": 8}, tokens=300),
        outputs.trial("a", 0, 3.5, {"peft.r": 4}, tokens=200),
        outputs.trial("a", 2, None, {"peft.r": 16}, "pruned", tokens=70),
        outputs.trial("a", 3, None, {"peft.r": 16}, "failed", tokens=None),
    ]
    outputs.study_sweep("s", {"a": {"sampler": "qmc"}}, cells)
    study = only_study(outputs)
    assert (study.name, study.sweep, study.sampler, study.metrics) == ("a", "s", "qmc", ("completion_nll",))
    assert [(trial.number, trial.state, trial.value, trial.tokens) for trial in study.trials] == [
        (0, "completed", 3.5, 200),
        (1, "completed", 2.5, 300),
        (2, "pruned", None, 70),
        (3, "failed", None, None),
    ]
    assert study.trials[0].params == {"peft.r": 4} and study.trials[0].cpu_seconds == 118
    assert reasons(outputs) == []


def test_a_metric_may_be_a_place_in_the_record(outputs: Any) -> None:
    cell = outputs.trial("a", 0, 1.0, tokens=640)
    outputs.study_sweep("s", {"a": {"metric": "training.tokens", "direction": "minimize"}}, [cell])
    assert only_study(outputs).trials[0].values == (640,)


def test_a_run_drawn_twice_is_paid_for_by_the_first(outputs: Any) -> None:
    cell = outputs.trial("a", 0, 2.0, tokens=500)
    outputs.study_sweep("s", {"a": {}}, [cell | {"trial": 4}, cell, cell | {"trial": 2}])
    trials = only_study(outputs).trials
    assert [(trial.value, trial.tokens, trial.cpu_seconds) for trial in trials] == [(2, 500, 118), (2, 0, 0), (2, 0, 0)]


def test_the_record_of_a_run_that_has_ended_since_counts(outputs: Any) -> None:
    cells = [
        outputs.trial("a", 0, 2.0) | {"state": "running"},
        outputs.trial("a", 1, None, state="running"),
        outputs.trial("a", 2, 1.0) | {"state": "failed"},
    ]
    outputs.study_sweep("s", {"a": {}}, cells)
    states = [(trial.state, trial.value) for trial in only_study(outputs).trials]
    assert states == [("completed", 2.0), ("running", None), ("failed", None)]


def test_final_runs_are_no_trials(outputs: Any) -> None:
    trial = outputs.trial("a", 0, 2.0)
    finals = [outputs.trial("a", 0, 2.5) | {"final": True, "seed": seed} for seed in (1, 2)]
    gone = {"study": "a", "trial": 0, "final": True, "seed": 3, "run_id": "beef", "state": "planned"}
    outputs.study_sweep("s", {"a": {}}, [trial, *finals, gone])
    study = only_study(outputs)
    assert len(study.trials) == 1 and [final.seed for final in study.finals] == [1, 2, 3]
    assert [final.state for final in study.finals] == ["completed", "completed", "planned"]


def test_what_can_not_be_used_is_counted_and_told(outputs: Any) -> None:
    good = outputs.trial("a", 0, 2.0)
    unmeasured = outputs.trial("a", 2, {"bleu": 0.5})
    cells = [good, good, good | {"trial": "1"}, good | {"study": "b"}, unmeasured]
    cells += [good | {"trial": 3, "run_id": "beef"}, good | {"trial": 4, "params": []}, {"study": "a", "trial": 5}]
    outputs.study_sweep("s", {"a": {}, "c": {"direction": ["down"]}, "d": 7, "e": {"space": {"x": 1}}}, cells)
    assert reasons(outputs) == [
        "1 cell of a study 'b' that it doesn't describe",
        "study 'a': 1 cell that repeat trial 0",
        "study 'a': 1 cell whose trial is '1', not a number from 0",
        "study 'a': 1 cell of completed trials whose record has no finite completion_nll",
        "study 'a': 1 cell of completed trials without a run record",
        "study 'a': 1 cell whose params are not an object",
        "study 'a': 1 cell whose state is 'None'",
        "study 'c': its direction is ['down'], not minimize or maximize for each metric",
        "study 'd': its description is not an object",
        "study 'e': its space is not an object of distributions",
    ]
    states = [trial.state for trial in only_study(outputs).trials]
    assert states == ["completed", "unknown", "unknown", "completed", "unknown"]


def test_without_a_sweep_all_studies_are_read_and_a_broken_sweep_is_told(outputs: Any) -> None:
    outputs.study_sweep("s", {"a": {}}, [outputs.trial("a", 0, 2.0)])
    outputs.study_sweep("t", {"a": {}, "b": {}}, [outputs.trial("b", 0, 2.0)])
    outputs.sweep("grid", [])
    broken = outputs.write("sweeps/u/sweep.json", "{")
    selection = read_all(outputs.root)
    assert [(study.sweep, study.name) for study in selection.studies] == [("s", "a"), ("t", "a"), ("t", "b")]
    assert [problem.path for problem in selection.problems] == [broken]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
study_places = ["metric", "direction", "sampler", "pruner", "space", "space.peft.r", "space.train.learning_rate"]
cell_places = ["run_id", "evaluation_id", "state", "study", "trial", "params", "params.peft.r", "final"]


def put(place: dict[str, Any], dotted: str, value: Any) -> None:
    """Set a key, or the rest of the path in the object that its first part names."""
    first, _, rest = dotted.partition(".")
    if rest and isinstance(place.get(first), dict):
        place[first][rest] = value
    else:
        place[first] = value


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    of_study=st.lists(st.tuples(st.sampled_from(study_places), json_values), max_size=2),
    of_cells=st.lists(st.tuples(st.integers(0, 9), st.sampled_from(cell_places), json_values), max_size=3),
    attributes=st.dictionaries(st.sampled_from(["low", "high", "step", "log", "choices"]), json_values, max_size=2),
    record=st.lists(
        st.tuples(st.sampled_from(["training", "resources", "config", "predictor"]), json_values), max_size=1
    ),
)
def test_no_value_anywhere_in_a_sweep_breaks_a_report(
    new_outputs: Callable[[], Any],
    monkeypatch: pytest.MonkeyPatch,
    of_study: list[tuple[str, Any]],
    of_cells: list[tuple[int, str, Any]],
    attributes: dict[str, Any],
    record: list[tuple[str, Any]],
) -> None:
    monkeypatch.setattr("analysis.statistics.importance.RESAMPLES", 2)
    monkeypatch.setattr("analysis.figures.can_draw", lambda: False)
    outputs = new_outputs()
    params = [{"peft.r": (4, 8)[n % 2], "train.learning_rate": 10.0 ** -(2 + n / 8)} for n in range(10)]
    cells = [outputs.trial("a", n, 2 + n % 3, params[n]) for n in range(10)]
    outputs.study_sweep("s", {"a": {}}, cells)
    path = outputs.root / "sweeps" / "s" / "sweep.json"
    sweep = json.loads(path.read_text())
    sweep["studies"]["a"]["space"]["train.learning_rate"]["attributes"] |= attributes
    for place, value in of_study:
        put(sweep["studies"]["a"], place, value)
    for number, place, value in of_cells:
        put(sweep["cells"][number], place, value)
    path.write_text(json.dumps(sweep))
    run = outputs.folder(cells[3]["run_id"]) / "run.json"
    changed = json.loads(run.read_text())
    for key, value in record:
        changed[key] = value
    run.write_text(json.dumps(changed))
    assert main(["hyperparameters", "--sweep", "s", "--output-dir", str(outputs.root)]) == 0


@pytest.mark.parametrize("studies", [None, 3, [], {"a": None}])
def test_studies_that_are_no_objects_leave_the_other_tables(outputs: Any, studies: Any) -> None:
    outputs.study_sweep("s", {}, [outputs.trial("a", 0, 2.0)])
    path = outputs.root / "sweeps" / "s" / "sweep.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"studies": studies}))
    assert read_sweep(outputs.root, "s").studies == [] and len(reasons(outputs)) >= 1
    assert main(["leaderboard", "--sweep", "s", "--output-dir", str(outputs.root)]) == 0
