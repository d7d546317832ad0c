"""Trackers are found by name, refused with one clear sentence, and nothing heavy is loaded to check them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from persona_sweeps.config.kinds import TRACKERS
from persona_sweeps.config.schema import RunConfig
from persona_sweeps.errors import ConfigError
from persona_sweeps.tracking.tracker import Tracker, flat, sample_row
from persona_sweeps.tracking.wandb import Wandb


def mistakes(tracker: Tracker) -> list[str]:
    return list(tracker.check(RunConfig()))


@pytest.mark.parametrize("name", sorted(TRACKERS.builtin))
def test_every_tracker_is_accepted_where_its_package_is_installed(name: str) -> None:
    tracker = TRACKERS.make(name, {})
    assert not mistakes(tracker) and tracker.name == name


def test_an_unknown_tracker_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="tracker=wandbb is unknown.*Did you mean wandb"):
        TRACKERS.make("wandbb", {})


@pytest.mark.parametrize("name", ["wandb", "tensorboard", "mlflow", "trackio"])
def test_a_missing_package_says_how_to_install_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    (mistake,) = mistakes(TRACKERS.make(name, {}))
    assert mistake == f"tracker={name} needs the package {name}: pip install 'persona-sweeps[{name}]'."


def test_an_unknown_mode_names_the_nearest() -> None:
    (mistake,) = mistakes(Wandb(mode="ofline"))
    assert "tracker.wandb.mode=ofline is unknown" in mistake and "Did you mean offline" in mistake


def test_checking_imports_nothing_heavy() -> None:
    heavy = ("torch", "wandb", "tensorboard", "mlflow", "trackio", "numpy", "sqlalchemy")
    probe = (
        "import sys; from persona_sweeps.config.kinds import TRACKERS; from persona_sweeps.config.schema import *\n"
        "for name in TRACKERS.builtin: list(TRACKERS.make(name, {}).check(RunConfig()))\n"
        f"sys.exit(any(name in sys.modules for name in {heavy}))"
    )
    assert subprocess.run([sys.executable, "-c", probe], cwd=Path(__file__).parents[2]).returncode == 0


def test_the_process_beside_a_sweep_loads_neither_torch_nor_hydra() -> None:
    probe = (
        "import sys, persona_sweeps.tracking.follow, persona_sweeps.tracking.wandb\n"
        "import persona_sweeps.tracking.tensorboard\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'hydra', 'omegaconf', 'wandb', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", probe], cwd=Path(__file__).parents[2]).returncode == 0


def test_chat_prompts_become_text_and_missing_cells_stay_empty() -> None:
    prompt = [{"role": "system", "content": "You are Hamlet."}, {"role": "user", "content": "Who's there?"}]
    row = sample_row({"id": "a", "persona": None, "prompt": prompt, "prediction": "Nay"})
    assert row == ["a", "", "system: You are Hamlet.\nuser: Who's there?", "", "Nay"]


def test_flat_settings_have_dotted_names() -> None:
    assert dict(flat({"peft": {"r": 8, "on": ["q"]}, "seed": 1})) == {"peft.r": 8, "peft.on": ["q"], "seed": 1}
