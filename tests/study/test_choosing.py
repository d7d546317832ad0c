"""How a study begins and ends: known settings first, on a budget, the winner scored on data nobody chose by."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main as analysis_main
from tests.conftest import write_dialogue
from tests.study.test_studies import record_of, size, states, trials_of

SEARCH = ("-m", "hydra/sweeper=optuna", "sweep.name=s", "metrics=[likelihood]", "hydra.sweeper.final_seeds=0")
FINAL = ("hydra.sweeper.final_seeds=2",)
RATES = "train.learning_rate=choice(1e-3,3e-3,1e-2,3e-2)"
GRID = ("peft.r=4", "peft.alpha=8", RATES, "hydra.sweeper.sampler=grid", "hydra.sweeper.pruner=none")


@pytest.fixture
def tiny(tiny: tuple[str, ...], tmp_path: Path) -> tuple[str, ...]:
    """More scenes than the other tests need: three parts are made of them."""
    return (*tiny, f"dataset.path={write_dialogue(tmp_path / 'long.jsonl', lines=30)}")


def evaluated_ids(output: Path, record: dict[str, Any]) -> set[str]:
    folder = next(output.glob(f"runs/*-{record['run_id']}"))
    (samples,) = folder.glob("evaluations/*.samples.jsonl")
    return {json.loads(line)["id"] for line in samples.read_text().splitlines()}


def test_the_winner_is_trained_anew_and_scored_on_examples_that_the_search_never_saw(
    launch: Callable, tiny: tuple[str, ...]
) -> None:
    ended = launch(*SEARCH, *tiny, *size(4), *GRID, *FINAL)
    assert ended.code == 0, ended.err
    trials = trials_of(ended.output)
    best = min(trials, key=lambda trial: trial.value)
    search = [record_of(ended.output, trial) for trial in trials]
    final = [record for record in ended.records() if record["provenance"]["study"].get("final")]
    assert len(ended.records()) == 6 and len(final) == 2
    assert {record["seed"] for record in map(lambda r: r["provenance"], final)} == {1, 2}
    for record in final:
        assert record["config"]["train"]["learning_rate"] == best.params["train.learning_rate"]
        assert record["provenance"]["study"]["trial"] == best.number
        assert record["data"]["train_examples"] > search[0]["data"]["train_examples"], "all that isn't test"
    seen = set().union(*(evaluated_ids(ended.output, record) for record in search))
    scored = set().union(*(evaluated_ids(ended.output, record) for record in final))
    assert seen and scored and not seen & scored
    assert search[0]["comparability_key"] != final[0]["comparability_key"] == final[1]["comparability_key"]
    rows = [row for row in ended.sweep("s") if row.get("final")]
    assert [(row["seed"], row["state"], row["trial"]) for row in rows] == [
        (s, "completed", best.number) for s in (1, 2)
    ]
    assert f"Trial {best.number} on test, 2 seeds" in ended.out


def test_a_grid_ends_with_its_last_point_whatever_number_is_asked_for(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch(*SEARCH, *tiny, *size(9, 3), *GRID)
    assert ended.code == 0 and "0 of 4 trials" in ended.out, ended.err
    trials = trials_of(ended.output)
    assert states(trials) == ["COMPLETE"] * 4
    assert sorted(trial.params["train.learning_rate"] for trial in trials) == [1e-3, 3e-3, 1e-2, 3e-2]


def test_the_test_part_is_looked_at_once(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch(*SEARCH, *tiny, *size(1), *GRID, *FINAL, "train.max_steps=8", "hydra.sweeper.finalists=1")
    assert ended.code == 0, ended.err
    for record in ended.records():
        lines = (ended.folder_of(record) / "history.jsonl").read_text().splitlines()
        looks = sum("eval_nll" in json.loads(line) for line in lines)
        assert looks == 1 if record["provenance"]["study"].get("final") else looks > 1


def test_the_same_command_again_trains_no_final_run_and_more_seeds_add_to_them(
    launch: Callable, tiny: tuple[str, ...]
) -> None:
    arguments = (*SEARCH, *tiny, *size(2), *GRID)
    first = launch(*arguments, *FINAL)
    stamps = {path: path.stat().st_mtime_ns for path in first.output.glob("runs/*/run.json")}
    again = launch(*arguments, *FINAL)
    assert again.code == 0 and "0 runs to train" in again.out and "Loading" not in again.out
    more = launch(*arguments, "hydra.sweeper.final_seeds=3", "hydra.sweeper.finalists=2")
    assert more.code == 0 and "2 settings with 3 seeds each, scored on test; 4 runs to train" in more.out
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_a_failed_final_run_is_reported(
    launch: Callable, tiny: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The search is done and stays; only the exit code and the sentence say that the end is missing."""
    arguments = (*SEARCH, *tiny, *size(2), *GRID)
    assert launch(*arguments).code == 0
    from persona_sweeps.methods.lora import Lora

    def refuse(*_: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Lora, "save", refuse)
    ended = launch(*arguments, *FINAL)
    assert ended.code == 1 and "2 of 2 final runs failed" in ended.err and "No space left" in ended.err
    assert states(trials_of(ended.output)) == ["COMPLETE"] * 2


def test_known_settings_are_tried_first_best_first_and_once(launch: Callable, tiny: tuple[str, ...]) -> None:
    known = launch(
        "-m", *tiny, "sweep.name=known", "metrics=[likelihood]", "peft.r=4,8", "peft.alpha=16",
        "train.learning_rate=1e-3,1e-2,9e-1", "dataset.evaluate_on=validation",
    )  # fmt: skip
    assert known.code == 0, known.err
    fitting = [r for r in known.records() if r["config"]["train"]["learning_rate"] < 0.5]
    best = [
        (r["config"]["peft"]["r"], r["config"]["train"]["learning_rate"])
        for r in sorted(fitting, key=lambda record: record["metrics"]["completion_nll"])
    ]
    warm = ("hydra.sweeper.warm_start=known", "hydra.sweeper.warm_start_best=3", "hydra.sweeper.pruner=none")
    ended = launch(*SEARCH, *tiny, *size(5), *warm)
    assert (
        ended.code == 0
        and "The 3 best settings of sweep known are tried first; 2 others lie outside the space" in ended.out
    ), ended.err
    drawn = [(trial.params["peft.r"], trial.params["train.learning_rate"]) for trial in trials_of(ended.output)]
    assert drawn[:3] == best[:3] and len(set(drawn)) == 5
    assert len(ended.records()) == 6 + 2, "a setting that is known under the same run id is not trained again"
    again = launch(*SEARCH, *tiny, *size(6), *warm)
    assert again.code == 0 and "tried first" not in again.out and len(trials_of(again.output)) == 6


def test_a_budget_of_tokens_ends_a_study_whatever_the_method(launch: Callable, tiny: tuple[str, ...]) -> None:
    budget = 1500
    arguments = (*SEARCH, *tiny, *size(50, 1), "peft=lora,ia3", "hydra.sweeper.pruner=none")
    ended = launch(*arguments, f"hydra.sweeper.max_tokens={budget}")
    assert ended.code == 0, ended.err
    for name in ("peft=lora", "peft=ia3"):
        trials = trials_of(ended.output, name)
        tokens = [trial.user_attrs["tokens"] for trial in trials]
        assert tokens == [record_of(ended.output, trial)["training"]["tokens"] for trial in trials]
        assert sum(tokens[:-1]) < budget <= sum(tokens) and len(tokens) > 1


def test_a_fair_comparison_gives_each_method_as_many_trials(launch: Callable, tiny: tuple[str, ...]) -> None:
    methods = ("peft=lora,prompt_tuning", "dataset.persona=null", "hydra.sweeper.n_trials=3")
    ended = launch("-m", "experiment=fair_comparison", *tiny, *methods)
    assert ended.code == 0, ended.err
    rows = ended.sweep("fair_comparison")
    for name in ("peft=lora", "peft=prompt_tuning"):
        own = [row for row in rows if row["study"] == name]
        assert [row["state"] for row in own] == ["completed"] * 6
        assert sum(bool(row.get("final")) for row in own) == 3


@pytest.mark.parametrize(
    "arguments, fragments",
    [
        (["dataset.evaluate_on=test", *FINAL], ["dataset.evaluate_on=test searches on the test part"]),
        (["dataset.evaluate_on=tset"], ["Did you mean test?"]),
        (["hydra.sweeper.warm_start=nothing"], ["warm_start=nothing is no sweep", "none yet"]),
        (["hydra.sweeper.final_seeds=-1"], ["final_seeds=-1 must be a whole number of at least 0"]),
        (["dataset.validation_fraction=1"], ["dataset.validation_fraction=1"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else str(value),
)
def test_a_mistake_is_reported_before_any_trial(
    launch: Callable, tiny: tuple[str, ...], arguments: list[str], fragments: list[str]
) -> None:
    ended = launch(*SEARCH, *tiny, *arguments)
    assert ended.code == 1 and ended.err.startswith("error: ") and ended.err.count("\n") == 1
    for fragment in fragments:
        assert fragment in ended.err


def test_optuna_s_own_api_agrees_with_analysis_on_every_trial(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch(*SEARCH, *tiny, *size(6), "train.max_steps=9", *FINAL)
    assert ended.code == 0, ended.err
    assert analysis_main(["hyperparameters", "--sweep", "s", "--output-dir", str(ended.output)]) == 0
    with (ended.output / "sweeps" / "s" / "tables" / "hyperparameters.csv").open() as file:
        rows = {int(row["trial"]): row for row in csv.DictReader(file) if row["final"] == "False"}
    trials = trials_of(ended.output)
    assert sorted(rows) == [trial.number for trial in trials]
    for trial in trials:
        row = rows[trial.number]
        assert row["run_id"] == trial.user_attrs["run_id"]
        assert row["state"] == {"COMPLETE": "completed", "PRUNED": "pruned"}[trial.state.name]
        assert {key: float(row[f"param_{key}"]) for key in trial.params} == trial.params
        value = row["value_completion_nll"]
        assert float(value) == trial.value if trial.state.name == "COMPLETE" else value == ""
        assert int(row["tokens"]) == trial.user_attrs["tokens"]
