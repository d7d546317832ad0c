"""A sweep without a name is called after what it varies, the same for the same cells."""

from __future__ import annotations

import re

import pytest

from persona_sweeps.config.folder_names import folder_name
from persona_sweeps.config.sweep_name import LONGEST, SINGLE_RUNS, sweep_name

SWEEP = ("-m", "peft=lora,prompt_tuning", "seed=0,1", "train.learning_rate=1e-3")


def test_it_says_what_varies() -> None:
    assert re.fullmatch(r"peft-seed-[0-9a-f]{6}", sweep_name(SWEEP))
    assert sweep_name(["-m", "experiment=chandler", "peft.r=choice(4,8)"]).startswith("chandler-r-")
    assert sweep_name(["-m", "train.max_steps=3"]).startswith("sweep-")


@pytest.mark.parametrize("more", ["plan=only", "status=only", "output_dir=elsewhere", "tracker=wandb", "group_size=2"])
def test_what_changes_no_cell_changes_no_name(more: str) -> None:
    assert sweep_name([*SWEEP, more]) == sweep_name(SWEEP)
    assert sweep_name([*SWEEP, "hydra/launcher=slurm", "hydra.launcher.partition=gpu"]) == sweep_name(SWEEP)


def test_order_is_all_the_same_and_values_are_not() -> None:
    assert sweep_name(["-m", *reversed(SWEEP[1:])]) == sweep_name(SWEEP)
    assert sweep_name([*SWEEP[:2], "seed=0,2", SWEEP[3]]) != sweep_name(SWEEP)
    assert sweep_name([*SWEEP, "metrics=[likelihood]"]) != sweep_name(SWEEP)


def test_without_m_there_is_no_sweep() -> None:
    assert sweep_name(["peft=lora"]) == sweep_name([]) == SINGLE_RUNS


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "model=a,b", "dataset.path=/x/y z.csv,b.csv", "+mine.ключ=1,2"],
        ["-m", *(f"a{'b' * 9}.key{number}=1,2" for number in range(20))],
        ["-m", "~metrics", "seed=range(3", "--config-dir", "mine", "-cd=x"],
    ],
)
def test_it_can_name_a_folder(words: list[str]) -> None:
    assert not list(folder_name("sweep.name", sweep_name(words))) and len(sweep_name(words)) <= LONGEST + 7
