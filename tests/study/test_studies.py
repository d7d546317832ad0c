"""Studies on a tiny twin: counted, resumed, shared, and open to Optuna's own API."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from persona_sweeps.study.settings import SAMPLERS
from tests.conftest import with_evaluation
from tests.faults.processes import Command

REPOSITORY = Path(__file__).resolve().parents[2]
STUDY = (
    "-m",
    "hydra/sweeper=optuna",
    "sweep.name=s",
    "metrics=[likelihood]",
    "train.max_steps=9",
    "hydra.sweeper.final_seeds=0",
)

SEVERAL = "hydra.sweeper.metric=[completion_nll,training.trainable_parameters]"


def size(trials: int, group: int = 4) -> tuple[str, str]:
    return f"hydra.sweeper.n_trials={trials}", f"group_size={group}"


def trials_of(output: Path, name: str | None = None) -> list[FrozenTrial]:
    """The study's trials through Optuna's own API and lock."""
    storage = JournalStorage(JournalFileBackend(str(output / "sweeps" / "s" / "study.log")))
    return optuna.load_study(study_name=name, storage=storage).trials


def record_of(output: Path, trial: FrozenTrial) -> dict[str, Any]:
    """Return the record of a trial's run, with what its evaluation says, where it has one."""
    return with_evaluation(output / trial.user_attrs["folder"] / "run.json")


def states(trials: list[FrozenTrial]) -> list[str]:
    return [trial.state.name for trial in trials]


def test_a_study_ends_with_the_trials_asked_for_and_optuna_agrees_with_the_records(
    launch: Callable, tiny: tuple[str, ...]
) -> None:
    ended = launch(*STUDY, *tiny, "train.max_steps=9", *size(8))
    assert ended.code == 0, ended.err
    trials = trials_of(ended.output)
    assert len(trials) == 8 and set(states(trials)) == {"COMPLETE", "PRUNED"}
    for trial in trials:
        record = record_of(ended.output, trial)
        assert record["run_id"] == trial.user_attrs["run_id"]
        if trial.state is TrialState.COMPLETE:
            assert record["status"] == "completed" and trial.value == record["metrics"]["completion_nll"]
            rate = trial.params["train.learning_rate"]
            assert record["config"]["train"]["learning_rate"] == pytest.approx(rate, rel=1e-5)
        else:
            assert record["status"] == "pruned" and trial.user_attrs["reason"] == record["training"]["pruned"]
            assert record["training"]["steps"] < 9
    rows = ended.sweep("s")
    assert [row["run_id"] for row in rows] == [trial.user_attrs["run_id"] for trial in trials]
    assert "Best: trial" in ended.out and f"{states(trials).count('PRUNED')} pruned" in ended.out


def test_the_same_command_again_trains_nothing_and_a_larger_one_goes_on(
    launch: Callable, tiny: tuple[str, ...]
) -> None:
    first = launch(*STUDY, *tiny, *size(4))
    before = {trial.number: trial for trial in trials_of(first.output)}
    stamps = {path: path.stat().st_mtime_ns for path in first.output.glob("runs/*/run.json")}
    again = launch(*STUDY, *tiny, *size(4))
    assert again.code == 0 and "4 of 4 trials done already" in again.out and "Loading" not in again.out
    assert {path: path.stat().st_mtime_ns for path in again.output.glob("runs/*/run.json")} == stamps
    more = launch(*STUDY, *tiny, *size(6))
    after = trials_of(more.output)
    assert more.code == 0 and len(after) == 6
    assert all(after[number] == trial for number, trial in before.items())


def test_a_group_s_rows_change_nothing_but_what_is_known_when_asking(
    launch: Callable, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    """Random draws don't look at the others, and without pruning nobody is ended: any group size gives one study."""
    fixed = ("hydra.sweeper.sampler=random", "hydra.sweeper.pruner=none")
    found = []
    for group in (1, 4):
        ended = launch(*STUDY, *tiny, *size(5, group), *fixed, f"output_dir={tmp_path / str(group)}")
        assert ended.code == 0, ended.err
        found.append([(trial.params, trial.value) for trial in trials_of(tmp_path / str(group))])
    for (params, value), (other_params, other) in zip(*found, strict=True):
        assert params == other_params and value == pytest.approx(other, rel=1e-5)


def test_lists_are_studies_of_their_own_and_functions_are_searched(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch(*STUDY, *tiny, *size(3), "peft=lora,ia3", "train.learning_rate=choice(1e-3,1e-2,1e-1)")
    assert ended.code == 0, ended.err
    for name, keys in {"peft=lora": {"peft.r", "peft.alpha_ratio"}, "peft=ia3": set()}.items():
        trials = trials_of(ended.output, name)
        assert len(trials) == 3
        assert all(set(trial.params) == keys | {"train.learning_rate"} for trial in trials)
    assert len(ended.sweep("s")) == 6


def test_a_setting_drawn_twice_is_trained_once(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch(
        *STUDY, *tiny, *size(8), "peft.r=4", "peft.alpha=8", "train.learning_rate=choice(1e-3,1e-2)",
        "hydra.sweeper.sampler=random", "hydra.sweeper.pruner=none",
    )  # fmt: skip
    trials = trials_of(ended.output)
    assert ended.code == 0 and states(trials) == ["COMPLETE"] * 8
    assert len(ended.records()) == 2
    assert len({(trial.params["train.learning_rate"], trial.value) for trial in trials}) == 2


def test_failures_are_reported_and_may_end_a_study(launch: Callable, tiny: tuple[str, ...]) -> None:
    rates = "train.learning_rate=interval(1e30,9e30)"
    fixed = ("peft.r=4", "peft.alpha=8", rates, "train.warmup_ratio=0", "train.max_grad_norm=null")
    ended = launch(*STUDY, *tiny, *size(8, 1), *fixed, "hydra.sweeper.max_failures=2")
    trials = trials_of(ended.output)
    assert ended.code == 1 and "no trial was completed" in ended.err and "not a finite number" in ended.err
    assert states(trials) == ["FAIL"] * 2
    assert all("not a finite number" in trial.user_attrs["reason"] for trial in trials)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_every_sampler_asks_for_settings_of_the_space(launch: Callable, tiny: tuple[str, ...], sampler: str) -> None:
    space = ("peft.r=choice(2,4)", "peft.alpha=8", "train.learning_rate=choice(1e-3,1e-2)")
    ended = launch(*STUDY, *tiny, *size(3), *space, f"hydra.sweeper.sampler={sampler}", "train.max_steps=1")
    assert ended.code == 0 and "arning" not in ended.err, ended.err
    assert {trial.params["peft.r"] for trial in trials_of(ended.output)} <= {2, 4}


@pytest.mark.parametrize(
    "arguments, fragments",
    [
        (["hydra.sweeper.sampler=tpee"], ["hydra.sweeper.sampler=tpee is unknown", "Did you mean tpe?"]),
        (["hydra.sweeper.pruner=halfing"], ["Did you mean halving?"]),
        (["hydra.sweeper.direction=down"], ["minimize, maximize"]),
        (["hydra.sweeper.n_trials=0"], ["n_trials=0 must be a whole number of at least 1"]),
        (
            ["hydra.sweeper.metric=[completion_nll,bits_per_byte]", "hydra.sweeper.direction=minimize"],
            ["metric has 2 and hydra.sweeper.direction has 1"],
        ),
        (["hydra.sweeper.metric=bits_per_bite"], ["no value of metrics=[likelihood]", "Did you mean bits_per_byte?"]),
        (
            ["metrics=[likelihood,overlap]", "hydra.sweeper.metric=length_ratio"],
            ["metric=length_ratio is better neither high nor low", "hydra.sweeper.direction"],
        ),
        (["hydra.sweeper.metric=[bits_per_byte,rougeL]"], ["metric=rougeL is no value of metrics=[likelihood]"]),
        (["hydra.sweeper.metric=[]"], ["must have at least one metric"]),
        (["hydra.sweeper.metric=[bits_per_byte,bits_per_byte]"], ["each once"]),
        ([SEVERAL, "hydra.sweeper.sampler=cmaes"], ["for several, choose one of tpe, gp, random, qmc, grid, nsga2"]),
        ([SEVERAL, "hydra.sweeper.pruner=hyperband"], ["pruner=hyperband stops runs by one number", "leave it out"]),
        (["peft=none"], ["peft=none has nothing to search over"]),
        (["peft=few_shot"], ["peft=few_shot has nothing to search over"]),
        (["peft=nearest_reply", "dataset.limit=choice(4,6)"], ["peft=nearest_reply trains nothing"]),
        (["peft.r=choice(4,0)"], ["peft.r=0 must be at least 1"]),
        (["peft.r=interval(2,1)"], ["peft.r"]),
        (["hydra.sweeper.sampler=grid"], ["train.learning_rate is an interval"]),
        (["hydra/launcher=basic"], ["needs hydra/launcher=fused, local or slurm"]),
        (["train.learning_rate=choice(1e-3,0)"], ["train.learning_rate=0"]),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else str(value),
)
def test_a_mistake_is_reported_before_any_trial(
    launch: Callable, tiny: tuple[str, ...], arguments: list[str], fragments: list[str]
) -> None:
    ended = launch(*STUDY, *tiny, *arguments)
    assert ended.code == 1 and ended.err.startswith("error: ") and ended.err.count("\n") == 1
    for fragment in fragments:
        assert fragment in ended.err
    assert not ended.output.exists() or not list(ended.output.glob("*/*/study.log"))


def test_another_study_under_the_same_name_is_refused(launch: Callable, tiny: tuple[str, ...]) -> None:
    assert launch(*STUDY, *tiny, *size(2)).code == 0
    other = launch(*STUDY, *tiny, *size(2), "train.batch_size=3")
    assert other.code == 1 and "train.batch_size=4, and this command has 3" in other.err
    space = launch(*STUDY, *tiny, *size(2), "peft.r=choice(1,2)")
    assert space.code == 1 and "another sweep.name" in space.err


@pytest.mark.slow
def test_two_processes_share_a_study_without_a_lost_or_doubled_trial(
    tiny: tuple[str, ...], tmp_path: Path, shared_cache: Path
) -> None:
    own = {"PERSONA_SWEEPS_CACHE": str(shared_cache)}
    commands = [Command([*STUDY, *tiny, *size(12, 2)], tmp_path, own) for _ in "ab"]
    assert [command.wait() for command in commands] == [0, 0], commands[0].output
    output = tmp_path / "multirun_outputs"
    trials = trials_of(output)
    assert [trial.number for trial in trials] == list(range(12)) and all(t.state.is_finished() for t in trials)
    assert len({trial.user_attrs["owner"] for trial in trials}) == 2, "both had a share"
    for folder in {output / trial.user_attrs["folder"] for trial in trials}:
        assert (folder / "run.log").read_text().count("started") == 1
