"""Which setting stands for a method: the one that a study chose on validation data, else the best of all tried."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.read.comparable import comparable
from analysis.read.selection import read_all
from analysis.tables.best_settings import BestSetting, best_settings

METHODS = ("none", "lora", "prompt_tuning")
TEST_KEY = "aaaaaaaaaaaa"


def chosen(outputs: Any, metric: str = "completion_ppl") -> dict[str, BestSetting]:
    selection = read_all(outputs.root)
    (group,) = [group for group in comparable(selection.scored()) if group.key == TEST_KEY]
    measure = group.measures[f"metrics.{metric}"]
    return best_settings(METHODS, group.settings, measure, selection.results, selection.studies)


def trial(outputs: Any, study: str, number: int, value: Any, rank: int, **top: Any) -> dict[str, Any]:
    """Add a trial, which is scored on validation data and so isn't comparable with the test runs."""
    cell: dict[str, Any] = outputs.trial(study, number, value, {"peft.r": rank}, comparability_key="v" * 12, **top)
    return cell


def final(outputs: Any, study: str, number: int, rank: int, ppl: float, seed: int = 1) -> dict[str, Any]:
    """Add a run that trains a trial's setting anew, scored on test data, and return its cell."""
    run_id = outputs.run("lora", ppl, {"config.peft.r": rank, "config.seed": seed})
    return {"overrides": [], "study": study, "trial": number, "final": True, "seed": seed, "run_id": run_id}


def test_a_studys_winner_stands_for_the_method_though_another_setting_scored_better(outputs: Any) -> None:
    cells = [trial(outputs, "a", 0, 2.0, 4), trial(outputs, "a", 1, 3.0, 8)]
    cells += [trial(outputs, "a", 2, None, 16, state="pruned"), trial(outputs, "a", 3, None, 2, state="failed")]
    cells += [final(outputs, "a", 0, 4, ppl, seed) for seed, ppl in ((1, 11.0), (2, 12.0))]
    outputs.study_sweep("s", {"a": {}}, cells)
    outputs.run("lora", 9.0, {"config.peft.r": 32})
    found = chosen(outputs)["lora"]
    assert found.setting.first.get("config.peft.r") == 4 and found.value == pytest.approx(11.5)
    assert found.study is not None and found.study.name == "a" and not found.is_flattered
    assert found.tried == 3, "completed and pruned trials; a failed one says nothing"


@pytest.mark.parametrize(
    ("metric", "direction", "values"),
    [("completion_nll", "minimize", (2.5, 2.0)), ("rougeL", "maximize", (0.1, 0.2))],
)
def test_of_two_studies_the_one_that_did_better_on_validation_data_chooses(
    metric: str, direction: str, values: tuple[float, float], outputs: Any
) -> None:
    cells = []
    for name, rank, value, ppl in zip("ab", (4, 8), values, (10.0, 11.0), strict=True):
        cells += [trial(outputs, name, 0, {metric: value}, rank), final(outputs, name, 0, rank, ppl)]
    about = {"metric": [metric], "direction": [direction]}
    outputs.study_sweep("s", {"a": about, "b": about}, cells)
    found = chosen(outputs)["lora"]
    assert found.study is not None and found.study.name == "b" and found.setting.first.get("config.peft.r") == 8


def test_values_of_different_metrics_are_not_compared_and_the_family_compared_goes_first(outputs: Any) -> None:
    cells = [trial(outputs, "by text", 0, {"rougeL": 0.9}, 4), final(outputs, "by text", 0, 4, 9.0)]
    cells += [trial(outputs, "by likelihood", 0, 2.0, 8), final(outputs, "by likelihood", 0, 8, 10.0)]
    by_text = {"metric": ["rougeL"], "direction": ["maximize"]}
    outputs.study_sweep("s", {"by text": by_text, "by likelihood": {}}, cells)
    found = chosen(outputs)["lora"]
    assert found.study is not None and found.study.name == "by likelihood"


@pytest.mark.parametrize(("compared", "rank"), [("rougeL", 8), ("completion_ppl", 4)])
def test_of_a_front_the_setting_is_taken_that_was_best_by_what_is_compared(
    outputs: Any, compared: str, rank: int
) -> None:
    both = [(4, {"completion_nll": 2.0, "rougeL": 0.1}), (8, {"completion_nll": 3.0, "rougeL": 0.2})]
    cells = [trial(outputs, "a", number, values, r) for number, (r, values) in enumerate(both)]
    for number, (r, _) in enumerate(both):
        run_id = outputs.run("lora", 9.0, {"config.peft.r": r, "metrics.rougeL": 0.3, "config.seed": 1})
        cells.append({"overrides": [], "study": "a", "trial": number, "final": True, "seed": 1, "run_id": run_id})
    about = {"metric": ["completion_nll", "rougeL"], "direction": ["minimize", "maximize"]}
    outputs.study_sweep("s", {"a": about}, cells)
    found = chosen(outputs, compared)["lora"]
    assert found.study is not None and found.setting.first.get("config.peft.r") == rank


def test_a_final_of_a_trial_without_a_value_chooses_nothing(outputs: Any) -> None:
    cells = [trial(outputs, "a", 0, None, 4, state="failed"), final(outputs, "a", 0, 4, 12.0)]
    outputs.study_sweep("s", {"a": {}}, cells)
    outputs.run("lora", 9.0, {"config.peft.r": 8})
    found = chosen(outputs)["lora"]
    assert found.study is None and found.setting.first.get("config.peft.r") == 8 and found.tried == 2


def test_a_winner_chooses_for_its_own_method_and_among_comparable_runs_alone(outputs: Any) -> None:
    elsewhere = outputs.run("lora", 5.0, {"config.peft.r": 4}, comparability_key="b" * 12)
    cells = [trial(outputs, "a", 0, 2.0, 4)]
    cells.append({"overrides": [], "study": "a", "trial": 0, "final": True, "seed": 1, "run_id": elsewhere})
    outputs.study_sweep("s", {"a": {}}, cells)
    outputs.run("lora", 9.0, {"config.peft.r": 8})
    outputs.run("prompt_tuning", 10.0)
    found = chosen(outputs)
    assert list(found) == ["lora", "prompt_tuning"], "in the order asked for, without a method that has no run"
    assert all(best.study is None for best in found.values()) and found["lora"].value == 9.0


def test_without_a_study_the_best_mean_over_seeds_stands_for_the_method(outputs: Any) -> None:
    for rank, ppl in ((4, (8.0, 12.0)), (8, (9.0, 9.5))):
        for seed, value in enumerate(ppl):
            outputs.run("lora", value, {"config.peft.r": rank, "config.seed": seed})
    outputs.run("lora", None, {"config.peft.r": 16})
    found = chosen(outputs)["lora"]
    assert found.value == pytest.approx(9.25) and len(found.setting.results) == 2
    assert found.tried == 2 and found.is_flattered, "what has no perplexity isn't tried by it"


def test_a_metric_of_which_more_is_better_chooses_the_largest(outputs: Any) -> None:
    for rank, rouge in ((4, 0.1), (8, 0.3)):
        outputs.run("lora", 9.0, {"config.peft.r": rank, "metrics.rougeL": rouge})
    assert chosen(outputs, "rougeL")["lora"].value == 0.3


def test_settings_that_were_pruned_alongside_count_as_tried_once_each(outputs: Any) -> None:
    outputs.run("lora", 9.0, {"config.peft.r": 8})
    for seed in (0, 1):
        outputs.run("lora", None, {"config.peft.r": 4, "config.seed": seed}, status="pruned")
    outputs.run("lora", None, {"config.peft.r": 8, "config.seed": 1}, status="pruned")
    for change in (
        {"config.model.name": "other"},
        {"config.dataset.persona": "OPHELIA"},
        {"config.peft.method": "dora"},
    ):
        outputs.run("lora", None, {"config.peft.r": 2} | change, status="pruned")
    assert chosen(outputs)["lora"].tried == 2
