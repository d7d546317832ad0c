"""Words of a command line: -m anywhere, and for what only a sweep has without being said."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from persona_sweeps.cli.arguments import arranged
from persona_sweeps.errors import UserError


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("peft=lora seed=0", "peft=lora seed=0"),
        ("peft=lora -m seed=0,1", "-m peft=lora seed=0,1"),
        ("peft=lora seed=0,1 --multirun", "-m peft=lora seed=0,1"),
        ("hydra/launcher=slurm", "-m hydra/launcher=slurm"),
        ("hydra/sweeper=optuna peft=lora", "-m hydra/sweeper=optuna peft=lora"),
        ("hydra.launcher.gpu_memory_gb=80", "-m hydra.launcher.gpu_memory_gb=80"),
        ("hydra/launcher=basic", "hydra/launcher=basic"),
        ("hydra.run.dir=x", "hydra.run.dir=x"),
        ("--cfg job hydra/launcher=slurm", "--cfg job hydra/launcher=slurm"),
        ("-m methods.lora.r=8", "-m ++methods.lora.r=8"),
    ],
)
def test_they_are_put_as_hydra_wants_them(given: str, wanted: str) -> None:
    assert arranged(given.split()) == wanted.split()


@pytest.mark.parametrize("word", ["hydra.launcher=slurm", "hydra.sweeper=optuna"])
def test_a_dot_for_the_slash_is_refused_with_the_right_form(word: str) -> None:
    with pytest.raises(UserError, match=f"write {word.replace('.', '/', 1)}, with a slash"):
        arranged(["-m", word])


def test_a_launcher_without_m_makes_a_sweep(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch(*tiny, "hydra/launcher=local", "plan=only", "sweep.name=alone")
    assert ended.code == 0 and "Sweep alone: 1 cell" in ended.out


def test_m_may_stand_among_the_overrides(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch(*tiny, "-m", "seed=0,1", "plan=only")
    assert ended.code == 0 and "2 cells" in ended.out
