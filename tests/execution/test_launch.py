"""The command `launch.py` as people call it: quick answers, any folder, one run or a sweep, and interruption."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
CONF = REPOSITORY / "conf"
LAUNCH = str(REPOSITORY / "launch.py")
SCRIPT = Path(sys.executable).with_name("persona-sweeps")
HEAVY = ("torch", "transformers", "datasets", "peft", "evaluate", "wandb", "tensorboard", "sacrebleu")
TIMED = ("-X", "importtime", LAUNCH)


def imported(importtime: str) -> set[str]:
    """Return the top-level packages that Python says it imported."""
    lines = [line for line in importtime.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in lines}


@pytest.mark.parametrize("arguments", [("--help",), ("--cfg", "job"), ("peft=none", "--cfg", "hydra")], ids=str)
def test_questions_are_answered_without_heavy_imports(command: Callable, tmp_path: Path, arguments: tuple) -> None:
    ended = command(*arguments, folder=tmp_path, python=TIMED)
    assert ended.code == 0 and ended.out
    assert "hydra" in imported(ended.err) and not imported(ended.err) & set(HEAVY)
    assert list(tmp_path.iterdir()) == []


def test_a_mistake_is_told_without_heavy_imports(command: Callable, tmp_path: Path) -> None:
    ended = command("peft.r=0", folder=tmp_path, python=TIMED)
    assert ended.code == 1 and "peft.r=0 must be at least 1." in ended.err
    assert not imported(ended.err) & set(HEAVY)


def test_a_finished_sweep_is_gone_through_again_without_heavy_imports(
    launch: Callable, command: Callable, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    sweep = ("-m", *tiny, "seed=0,1", "train.max_steps=1")
    assert launch(*sweep).code == 0
    again = command(*sweep, folder=tmp_path, python=TIMED)
    assert again.code == 0 and "2 done already, 0 to run" in again.out
    assert "hydra" in imported(again.err) and not imported(again.err) & set(HEAVY)


def test_help_names_every_group_every_option_and_every_key(launch: Callable) -> None:
    from persona_sweeps.config.folder import conf_folder
    from persona_sweeps.config.mistakes import groups, options

    text = launch("--help").out
    listed = dict(
        line.split(": ", 1) for line in text.split("== Groups")[1].split("== Keys")[0].splitlines() if ":" in line
    )
    assert set(listed) == {path.name for path in CONF.iterdir() if path.is_dir() and path.name != "hydra"} | {
        "hydra/launcher",
        "hydra/sweeper",
    }
    for group in groups(conf_folder()):
        assert listed[group].split(", ") == options(conf_folder(), group)
    for key in ("learning_rate:", "num_virtual_tokens", "max_new_tokens:", "seed:", "output_dir:"):
        assert (key in text) is (key != "num_virtual_tokens"), "the keys of what is composed"


def test_the_printed_config_is_the_composed_one(launch: Callable) -> None:
    printed = launch("peft=prompt_tuning", "peft.num_virtual_tokens=5", "--cfg", "job").out
    assert "num_virtual_tokens: 5" in printed and "hydra:" not in printed


@pytest.mark.parametrize("folder", ["repository", "elsewhere"])
def test_hydra_finds_the_fused_launcher_from_any_folder(command: Callable, tmp_path: Path, folder: str) -> None:
    where = REPOSITORY if folder == "repository" else tmp_path
    ended = command("--info", "plugins", folder=where)
    assert ended.code == 0 and "FusedLauncher" in ended.out


@pytest.mark.skipif(not SCRIPT.exists(), reason="the package is not installed (make setup installs it)")
def test_the_installed_command_works_from_any_folder(command: Callable, tmp_path: Path) -> None:
    ended = command("--cfg", "job", folder=tmp_path, python=(str(SCRIPT),))
    assert ended.code == 0 and "smollm2_135m_instruct" in ended.out
    assert "FusedLauncher" in command("--info", "plugins", folder=tmp_path, python=(str(SCRIPT),)).out


def test_one_run_leaves_one_run_folder_and_no_sweep(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch(*tiny)
    assert ended.code == 0, ended.err
    (record,) = ended.records()
    assert record["status"] == "completed" and record["run_id"] in ended.out
    assert [path.name for path in ended.output.iterdir()] == ["runs"]
    assert [path.name for path in ended.folder.iterdir()] == ["multirun_outputs"]


def test_hydra_s_own_launcher_gives_the_runs_that_the_fused_one_gives(launch: Callable, tiny: tuple[str, ...]) -> None:
    sweep = ("-m", *tiny, "peft=none,lora")
    basic = launch(*sweep, "hydra/launcher=basic")
    assert basic.code == 0, basic.err
    assert [record["status"] for record in basic.records()] == ["completed", "completed"]
    assert "2 done already, 0 to run" in launch(*sweep).out


def test_with_hydra_s_own_launcher_too_a_failed_run_fails_alone(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "hydra/launcher=basic", "train.learning_rate=1e30,1e-3")
    assert ended.code == 1 and ended.err.splitlines()[-1].startswith("error: ")
    assert sorted(record["status"] for record in ended.records()) == ["completed", "failed"]


def test_a_sweep_in_batches_keeps_all_its_cells_in_one_record(launch: Callable, tiny: tuple[str, ...]) -> None:
    ended = launch("-m", *tiny, "seed=0,1,2", "train.max_steps=1", "hydra.sweeper.max_batch_size=1", "sweep.name=bit")
    assert ended.code == 0, ended.err
    cells = ended.sweep("bit")
    assert [cell["state"] for cell in cells] == ["completed"] * 3
    assert len({cell["run_id"] for cell in cells}) == 3
    assert [next(o for o in cell["overrides"] if "seed" in o) for cell in cells] == ["seed=0", "seed=1", "seed=2"]


def test_an_interrupted_sweep_says_so_and_goes_on_where_it_stopped(
    launch: Callable, tiny: tuple[str, ...], tmp_path: Path
) -> None:
    steps = ("train.max_steps=150", "train.eval_every=1000", "group_size=1", "sweep.name=cut")
    sweep = ("-m", *tiny, *steps, "peft=none,lora")
    process = subprocess.Popen(
        [sys.executable, LAUNCH, *sweep], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    history = "multirun_outputs/runs/*lora*/history.jsonl"
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in tmp_path.glob(history)):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip() == (
        "Stopped by SIGINT. Completed runs are kept, and those in training were saved: "
        "the same command goes on from there."
    )
    untuned = next(tmp_path.glob("multirun_outputs/runs/*none*/run.json"))
    written = untuned.stat().st_mtime_ns

    again = launch(*sweep)
    assert again.code == 0, again.err
    assert "1 done already, 1 to run" in again.out
    assert [cell["state"] for cell in again.sweep("cut")] == ["completed", "completed"]
    assert untuned.stat().st_mtime_ns == written
