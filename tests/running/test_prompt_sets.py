"""Metrics that bring prompts of their own: answered by the run or by the untuned base, once, and training nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.read.selection import read_all
from analysis.tables import characters, leaderboard
from persona_sweeps.records.files import read_json
from tests.conftest import Ended

Launch = Callable[..., Ended]
OWN = ("ranking", "blending", "forgetting", "boundary")
SWEEP = (
    "model.scale=tiny",
    "train.precision=fp32",
    "dataset.persona=Horatio",
    "dataset.play=hamlet",
    "dataset.card=short",
    "dataset.context_lines=1",
    "dataset.limit=12",
    "dataset.eval_limit=10",
    "train.max_length=512",
    "train.epochs=1",
    "train.learning_rate=5e-3",
    "metrics.ranking.items=6",
    "metrics.blending.lines=4",
)


def asking(*metrics: str) -> tuple[str, ...]:
    keys = [text for text in SWEEP if not text.startswith("metrics.") or text.split(".")[1] in metrics]
    return (*keys, f"metrics=[{','.join(metrics)}]")


def answers(ended: Ended, prompt_set: str, by: str = "run") -> dict[str, list[dict[str, Any]]]:
    """Return the lines of the predictions for a prompt set, by run name."""
    found = {}
    for path in sorted(ended.output.glob("runs/*/predictions/*.json")):
        request = (read_json(path) or {})["request"]
        if request["prompt_set"] == prompt_set and request.get("by", "run") == by:
            found[path.parts[-3]] = [json.loads(line) for line in path.with_suffix(".jsonl").read_text().splitlines()]
    return found


def nll(lines: list[dict[str, Any]]) -> dict[str, float]:
    return {line["id"]: line["nll"] for line in lines}


def test_a_true_reply_to_rank_is_as_probable_as_the_held_out_example(launch: Launch) -> None:
    for predictor in ("peft=lora", "peft=few_shot"):
        ended = launch(*asking("likelihood", "ranking"), predictor)
        assert ended.code == 0, ended.err
        name = next(name for name in answers(ended, "held_out") if predictor.removeprefix("peft=") in name)
        held_out, replies = nll(answers(ended, "held_out")[name]), nll(answers(ended, "ranking.replies")[name])
        shared = held_out.keys() & replies.keys()
        assert len(shared) == 6 and len(replies) == 6 * 19
        assert {item: replies[item] for item in shared} == pytest.approx({i: held_out[i] for i in shared}, rel=1e-4)


def test_the_base_answers_for_all_runs_alike_and_as_the_untuned_run_does(launch: Launch) -> None:
    ended = launch("-m", *asking("blending", "forgetting"), "peft=none,lora,prompt_tuning,few_shot", "sweep.name=all")
    assert ended.code == 0, ended.err
    for prompt_set in ("blending.lines", "forgetting.passages"):
        by_base = answers(ended, prompt_set, "base")
        assert len(by_base) == 4 and len({json.dumps(lines) for lines in by_base.values()}) == 1
        by_run = answers(ended, prompt_set)
        assert len(by_run) == 3  # the untuned base answers once, not twice
        [base], tuned = list(by_base.values())[:1], next(lines for name, lines in by_run.items() if "-lora-" in name)
        assert nll(tuned) != pytest.approx(nll(base), rel=1e-3)
    values = {e["run_id"]: e["metrics"] for e in ended.evaluations()}
    untuned = next(record["run_id"] for record in ended.records() if record["config"]["peft"]["method"] == "none")
    assert values[untuned]["forgetting"] == 0.0 and "bleed" not in values[untuned]
    assert sum(metrics["forgetting"] != 0.0 for metrics in values.values()) == 2


def test_a_fully_tuned_model_is_compared_with_the_base_that_it_was(launch: Launch) -> None:
    ended = launch("-m", *asking("forgetting"), "peft=full,none", "train.learning_rate=1e-3", "sweep.name=full")
    assert ended.code == 0, ended.err
    base = answers(ended, "forgetting.passages", "base")
    assert len(base) == 2
    first, second = (nll(lines) for lines in base.values())
    assert first == pytest.approx(second, rel=1e-5)
    [full] = answers(ended, "forgetting.passages").values()
    assert nll(full) != pytest.approx(first, rel=1e-3)


def test_new_questions_train_nothing_and_keep_what_was_answered(launch: Launch) -> None:
    sweep = ("-m", "peft=none,lora", "sweep.name=asked")
    first = launch(*sweep, *asking("likelihood"))
    weights = {path: path.read_bytes() for path in first.output.glob("runs/*/adapter/*.safetensors")}
    second = launch(*sweep, *asking("likelihood", *OWN))
    assert second.code == 0, second.err
    assert "2 to predict" in second.out
    assert weights == {path: path.read_bytes() for path in second.output.glob("runs/*/adapter/*.safetensors")}
    both = [e["metrics"] for e in second.evaluations()]
    before, after = ([m for m in both if ("forgetting" in m) is asked] for asked in (False, True))
    assert len(before) == 2
    assert sorted(m["completion_ppl"] for m in before) == sorted(m["completion_ppl"] for m in after)


def test_answers_are_the_same_in_a_group_and_solo(launch: Launch) -> None:
    sweep = ("-m", "peft=lora,ia3,prompt_tuning,prefix_tuning", "sweep.name=all", *asking(*OWN))
    together = launch(*sweep)
    assert together.code == 0, together.err
    before = {path: path.read_bytes() for path in sorted(together.output.glob("runs/*/predictions/*.jsonl"))}
    for path in before:
        path.unlink()
    for path in together.output.glob("runs/*/evaluations/*"):
        path.unlink()
    solo = launch(*sweep, "group_size=1")
    assert solo.code == 0, solo.err
    assert {path: path.read_bytes() for path in before} == before


def test_scores_of_other_lines_than_held_out_ones_are_reused(launch: Launch) -> None:
    first = launch("peft=lora", *asking(*OWN))
    second = launch("peft=lora", *asking("likelihood", *OWN))
    assert first.code == second.code == 0, first.err + second.err
    small, large = sorted(second.evaluations(), key=lambda evaluation: len(evaluation["metrics"]))
    assert small["metrics"].items() <= large["metrics"].items()
    folder = second.folder_of(second.records()[0]) / "evaluations"

    def rows(evaluation: dict[str, Any], column: str) -> list[dict[str, Any]]:
        text = Path(folder / f"{evaluation['evaluation_id']}.samples.jsonl").read_text(encoding="utf-8")
        return [row for row in map(json.loads, text.splitlines()) if column in row]

    for column in ("r10_who", "blending_gain", "forgotten_nll", "deflected_inside"):
        ours, theirs = ({row["id"]: row[column] for row in rows(e, column)} for e in (small, large))
        assert ours == theirs and ours


def test_measures_of_the_character_alone_are_shown_and_ranked_by(launch: Launch) -> None:
    ended = launch("-m", *asking("forgetting"), "peft=none,prompt_tuning", "sweep.name=alone")
    assert ended.code == 0, ended.err
    heading = next(line for line in ended.out.splitlines() if line.startswith("run "))
    assert heading.split() == ["run", "status", "forgetting"]
    selection = read_all(ended.output)
    rows = leaderboard.build(selection).raw
    assert [row["ranked_by"] for row in rows] == ["forgetting", "forgetting"] and rows[0]["rank"] != "–"
    assert characters.applies(selection)
