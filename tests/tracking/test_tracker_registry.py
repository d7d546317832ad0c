"""Trackers are found by kind, refused with one clear sentence, and never stop a run."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest

from persona_sweeps import tracking
from persona_sweeps.config.kinds import TRACKERS
from persona_sweeps.config.schema import RunConfig, SweepConfig
from persona_sweeps.errors import ConfigError
from persona_sweeps.tracking.tracker import Tracker, sample_row
from persona_sweeps.tracking.wandb import Wandb


def config_for(kind: str) -> RunConfig:
    own = {"project": "p", "mode": "offline"} if kind == "wandb" else {}
    tracker = TRACKERS.make(kind, {"kind": kind, **own})
    return RunConfig(tracker=tracker, sweep=SweepConfig(name="s"))


def mistakes(tracker: Tracker) -> list[str]:
    return [*TRACKERS.check(tracker), *tracker.check(RunConfig())]


@pytest.mark.parametrize("kind", sorted(TRACKERS.builtin))
def test_every_kind_is_accepted_where_its_package_is_installed(kind: str) -> None:
    assert not mistakes(config_for(kind).tracker)


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="tracker.kind=wandbb is unknown.*Did you mean wandb"):
        TRACKERS.make("wandbb", {"kind": "wandbb"})
    (mistake,) = mistakes(Wandb(kind="wandbb", project="p"))
    assert "tracker.kind=wandbb is unknown" in mistake


@pytest.mark.parametrize("kind", ["wandb", "tensorboard"])
def test_a_missing_package_says_how_to_install_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, kind, None)
    (mistake,) = mistakes(config_for(kind).tracker)
    assert mistake == f"tracker={kind} needs the package {kind}: pip install 'persona-sweeps[{kind}]'."


def test_an_unknown_wandb_mode_names_the_nearest() -> None:
    (mistake,) = mistakes(Wandb(kind="wandb", project="p", mode="ofline"))
    assert "tracker.mode=ofline is unknown" in mistake and "Did you mean offline" in mistake


def test_checking_imports_nothing_heavy() -> None:
    probe = (
        "import sys; from persona_sweeps.config.kinds import TRACKERS; from persona_sweeps.config.schema import *\n"
        "list(TRACKERS.make('wandb', {'kind': 'wandb', 'project': 'p'}).check(RunConfig()))\n"
        "list(TRACKERS.make('tensorboard', {'kind': 'tensorboard'}).check(RunConfig()))\n"
        "sys.exit(any(name in sys.modules for name in ('torch', 'wandb', 'tensorboard', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", probe], cwd=Path(__file__).parents[2]).returncode == 0


def test_no_tracker_leaves_nothing_behind(tmp_path: Path) -> None:
    tracker = tracking.start(config_for("none"), {}, tmp_path / "run", "0123456789", "run")
    tracker.log(1, {"train_nll": 1.0})
    tracker.finish("completed", {}, [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["wandb", "tensorboard"])
def test_a_run_folder_that_cannot_be_made_costs_the_tracker_only(
    kind: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "a-file"
    folder.write_text("in the way")
    with caplog.at_level(logging.WARNING):
        tracker = tracking.start(config_for(kind), {}, folder, "0123456789", "run")
        for step in range(3):
            tracker.log(step, {"train_nll": 1.0})
        tracker.finish("completed", {"completion_ppl": 2.0}, [])
    assert len(caplog.records) == 1
    assert f"tracker={kind} of run 0123456789 is switched off" in caplog.text


def test_a_value_that_a_tracker_cannot_store_is_reported_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    tracker = tracking.start(config_for("tensorboard"), {}, tmp_path, "0123456789", "run")
    for step in range(3):
        tracker.log(step, {"train_nll": object()})  # type: ignore[dict-item]
    tracker.finish("failed", {}, [])
    assert len(caplog.records) == 1


def test_an_interrupt_still_stops_the_run(tmp_path: Path) -> None:
    class Interrupted:
        def items(self) -> None:
            raise KeyboardInterrupt

    tracker = tracking.start(config_for("tensorboard"), {}, tmp_path, "0123456789", "run")
    with pytest.raises(KeyboardInterrupt):
        tracker.log(0, Interrupted())  # type: ignore[arg-type]


def test_chat_prompts_become_text_and_missing_cells_stay_empty() -> None:
    prompt = [{"role": "system", "content": "You are Hamlet."}, {"role": "user", "content": "Who's there?"}]
    row = sample_row({"id": "a", "persona": None, "prompt": prompt, "prediction": "Nay"})
    assert row == ["a", "", "system: You are Hamlet.\nuser: Who's there?", "", "Nay"]
