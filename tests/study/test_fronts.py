"""Studies of several metrics on a tiny twin: their front, what is trained again of it, and that they resume."""

from __future__ import annotations

import csv
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from optuna.trial import FrozenTrial, create_trial

from analysis.__main__ import main as analysis_main
from persona_sweeps.study.front import spread_out
from persona_sweeps.study.settings import FOR_ONE_METRIC, SAMPLERS
from tests.conftest import Ended, write_dialogue
from tests.study.test_studies import record_of, size, states, trials_of

METRICS = ("bits_per_byte", "rougeL")
STUDY = (
    "-m", "hydra/sweeper=optuna", "sweep.name=s", "train.max_steps=9", "hydra.sweeper.final_seeds=0",
    f"hydra.sweeper.metric=[{','.join(METRICS)}]",
)  # fmt: skip
COSTLY = ("metrics=[likelihood]", "hydra.sweeper.metric=[completion_nll,training.trainable_parameters]")
"""better models are larger, so that a front has several settings"""


@pytest.fixture
def tiny(tiny: tuple[str, ...], tmp_path: Path) -> tuple[str, ...]:
    """More scenes than the other tests need: three parts are made of them."""
    return (*tiny, f"dataset.path={write_dialogue(tmp_path / 'long.jsonl', lines=30)}")


def front_of_records(output: Path, better: Callable[[dict], tuple[float, ...]]) -> set[int]:
    """Return the trials that no other beats, one of each run, from the runs' records; `better`: more is better."""
    points: dict[str, tuple[int, tuple[float, ...]]] = {}
    for trial in trials_of(output):
        points.setdefault(trial.user_attrs["run_id"], (trial.number, better(record_of(output, trial))))
    return {
        number
        for number, values in points.values()
        if not any(
            other != values and all(a >= b for a, b in zip(other, values, strict=True)) for _, other in points.values()
        )
    }


def printed_front(out: str) -> set[int]:
    lines = out.split("The front: ")[1].splitlines()[2:]
    return {int(line.split()[0]) for line in lines if line.split() and line.split()[0].isdigit()}


def by_size(record: dict) -> tuple[float, ...]:
    return -record["metrics"]["completion_nll"], -record["training"]["trainable_parameters"]


def test_the_front_that_is_printed_is_that_of_the_records(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch(*STUDY, *tiny, *size(8))
    assert ended.code == 0, ended.err
    assert states(trials_of(ended.output)) == ["COMPLETE"] * 8, "nothing is pruned"
    for trial in trials_of(ended.output):
        assert trial.values == [record_of(ended.output, trial)["metrics"][name] for name in METRICS]
    expected = front_of_records(ended.output, lambda r: (-r["metrics"]["bits_per_byte"], r["metrics"]["rougeL"]))
    assert printed_front(ended.out) == expected
    assert "bits_per_byte (less is better) and rougeL (more is better); no run is stopped early" in ended.out


def test_a_metric_is_searched_in_the_direction_that_it_describes(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch(*STUDY, *tiny, *size(4), "hydra.sweeper.metric=rougeL", "train.max_steps=6")
    assert ended.code == 0, ended.err
    done = [trial for trial in trials_of(ended.output) if trial.state.name == "COMPLETE"]
    best = max(trial.value for trial in done)
    assert f"rougeL {best:.4g}:" in ended.out.split("Best: trial")[1]


def test_the_tables_have_the_same_front(
    launch: Callable, tiny: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    ended = launch(*STUDY, *tiny, *size(8), *COSTLY)
    assert ended.code == 0, ended.err
    front = front_of_records(ended.output, by_size)
    assert printed_front(ended.out) == front and len(front) > 1
    assert analysis_main(["pareto", "--sweep", "s"]) == 0
    shown = capsys.readouterr().out
    assert f"{len(front)} of {len(ended.records())} completed settings on the front" in shown
    with (ended.output / "sweeps/s/tables/pareto.csv").open(newline="", encoding="utf-8") as file:
        assert {int(row["trial"]) for row in csv.DictReader(file) if row["on_front"] == "True"} == front


def test_a_bounded_number_of_settings_of_the_front_is_trained_again(launch: Callable, tiny: tuple[str, ...]) -> None:
    arguments = (*STUDY, *tiny, *size(8), *COSTLY, "hydra.sweeper.final_seeds=1", "train.max_steps=2")
    ended = launch(*arguments, "hydra.sweeper.finalists=2")
    assert ended.code == 0, ended.err
    front = front_of_records(ended.output, by_size)
    assert len(front) > 2 and f"Finals: 2 settings of the front's {len(front)} with 1 seed each" in ended.out
    rows = [row for row in ended.sweep("s") if row.get("final")]
    values = {trial.number: trial.values for trial in trials_of(ended.output)}
    ends = {
        min(front, key=lambda number: (values[number][0], number)),
        min(front, key=lambda number: values[number][1]),
    }
    assert {row["trial"] for row in rows} == ends, "the best by each metric"
    more = launch(*arguments)
    assert more.code == 0 and f"Finals: {min(5, len(front))} settings of the front's {len(front)}" in more.out


def test_the_same_command_again_trains_nothing_and_a_larger_one_goes_on(
    launch: Callable[..., Ended], tiny: tuple[str, ...]
) -> None:
    first = launch(*STUDY, *tiny, *size(3), "train.max_steps=2")
    before = trials_of(first.output)
    again = launch(*STUDY, *tiny, *size(3), "train.max_steps=2")
    assert again.code == 0 and "3 of 3 trials done already" in again.out and "Loading" not in again.out
    assert printed_front(again.out) == printed_front(first.out)
    more = launch(*STUDY, *tiny, *size(5), "train.max_steps=2")
    after = trials_of(more.output)
    assert more.code == 0 and len(after) == 5 and after[:3] == before
    other = launch(*STUDY, *tiny, *size(5), "train.max_steps=2", "hydra.sweeper.direction=[minimize,minimize]")
    assert other.code == 1 and "was begun with direction=['minimize', 'maximize']" in other.err


def test_plan_and_status_say_what_is_searched_for(launch: Callable[..., Ended], tiny: tuple[str, ...]) -> None:
    arguments = (*STUDY, *tiny, *size(2), "train.max_steps=1")
    plan = launch(*arguments, "plan=only")
    assert plan.code == 0 and "2 trials of peft=lora for bits_per_byte (less is better) and rougeL" in plan.out
    assert launch(*arguments).code == 0
    status = launch(*arguments, "status=only")
    assert status.code == 0 and "Study s: 2 completed" in status.out


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in FOR_ONE_METRIC])
def test_samplers_draw_for_several_metrics(launch: Callable, tiny: tuple[str, ...], sampler: str) -> None:
    space = ("peft.r=choice(2,4)", "peft.alpha=8", "train.learning_rate=choice(1e-3,1e-2)")
    more = (f"hydra.sweeper.sampler={sampler}", "train.max_steps=1")
    ended = launch(*STUDY, *COSTLY, *tiny, *size(3), *space, *more)
    assert ended.code == 0 and "arning" not in ended.err, ended.err
    assert printed_front(ended.out) == front_of_records(ended.output, by_size)


def front(points: list[tuple[float, float]]) -> list[FrozenTrial]:
    return [create_trial(values=list(point)) for point in points]


@pytest.mark.parametrize("seed", range(5))
def test_of_a_large_front_the_ends_and_sparse_parts_are_chosen(seed: int) -> None:
    rng = random.Random(seed)
    crowded = sorted(rng.uniform(0.49, 0.51) for _ in range(6))
    trials = front([(x, 1 - x) for x in [0.0, 0.25, *crowded, 0.75, 1.0]])
    chosen = [trial.values[0] for trial in spread_out(trials, 4)]
    assert chosen == [0.0, 0.25, 0.75, 1.0]
    assert spread_out(trials, 99) == trials and spread_out([], 3) == []
    assert len(spread_out(front([(1.0, 1.0)] * 4), 2)) == 2
