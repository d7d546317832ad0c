"""The README's commands and those of --help work as they stand, and what it names exists."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.__main__ import main as analysis
from persona_sweeps.cli.main import main as command
from tests.conftest import EVERY_CARD

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(<!-- not run: .+? -->\n+)?```bash\n(.*?)```", re.DOTALL)
NOT_RUN_HERE = ("make", "git", "cd", "pip", "source")
TINY = (
    "model.scale=tiny", "train.max_steps=2", "dataset.limit=12", "dataset.eval_limit=4",
    "generation.max_new_tokens=4", "device=cpu",
)  # fmt: skip
TRIALS = 2


def commands(page: str = README) -> list[list[str]]:
    """Return the words of every command in a bash block, comments and blocks marked as not run left out."""
    found = []
    for skipped, block in BLOCK.findall(page):
        joined = block.replace("\\\n", " ")
        found += [] if skipped else [shlex.split(line, comments=True) for line in joined.splitlines()]
    return [words for words in found if words]


def test_every_command_is_one_that_this_test_knows_how_to_run() -> None:
    assert commands()
    for words in commands():
        assert (
            words[0] in NOT_RUN_HERE
            or words[:2] == ["python", "launch.py"]
            or words[:3] == ["python", "-m", "analysis"]
            or words[0] == "persona-sweeps"
        )


def test_every_make_target_exists() -> None:
    rules = re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE)
    named = {words[1] for words in commands() if words[0] == "make"} | set(re.findall(r"`make ([a-z-]+)`", README))
    assert named and named <= set(rules)


def test_every_file_that_is_linked_exists() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (REPOSITORY / target).exists(), target


@pytest.mark.slow
def test_every_command_runs(
    launch: Callable, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """In their order, since the tables are made of the sweep above them; with tiny settings, in another folder."""
    monkeypatch.chdir(REPOSITORY)
    for words in commands():
        if words[0] in NOT_RUN_HERE:
            continue
        if words[1] == "launch.py":
            ended = launch(*words[2:], *TINY, f"output_dir={tmp_path}")
            code, printed = ended.code, ended.out or ended.err
        elif words[0] == "persona-sweeps":
            code, printed = persona_sweeps(words, tmp_path), capsys.readouterr().out
        else:
            elsewhere = [] if "published" in words else ["--output-dir", str(tmp_path)]  # which reads no runs
            code, printed = analysis([*words[3:], *elsewhere]), capsys.readouterr().out
        assert code == 0 and printed, f"{shlex.join(words)}\n{printed}"


def persona_sweeps(words: list[str], folder: Path) -> int:
    """Run a command for runs in a folder, with a message for its input, and return its exit code."""
    (folder / "message").write_text("Come, Sir John.\n")
    out = [str(folder / word) if word.endswith(".png") else word for word in words]
    with (folder / "message").open() as given, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [*out, "--output-dir", str(folder)])
        patch.setattr(sys, "stdin", given)
        try:
            command()
        except SystemExit as stopped:
            return int(bool(stopped.code))
    return 0


def examples_of_help(text: str) -> list[list[str]]:
    """Return the words of the commands that --help gives as examples."""
    lines = [line for line in text.split("== Groups")[0].splitlines() if "python " in line]
    return [shlex.split(line[line.index("python ") :]) for line in lines]


@pytest.mark.slow
def test_every_example_of_help_runs(
    launch: Callable, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    examples = examples_of_help(launch("--help").out)
    assert len(examples) >= 8
    monkeypatch.chdir(REPOSITORY / "docs" / "examples")  # where dialogue.jsonl is
    for words in examples:
        if words[1] == "launch.py":
            smaller = [f"hydra.sweeper.n_trials={TRIALS}"] if "hydra/sweeper=optuna" in words else []
            ended = launch(*words[2:], *TINY, *smaller, f"output_dir={tmp_path}")
            code, printed = ended.code, ended.out or ended.err
        else:
            code, printed = analysis([*words[3:], "--output-dir", str(tmp_path)]), capsys.readouterr().out
        assert code == 0 and printed, f"{shlex.join(words)}\n{printed}"


def test_every_model_can_be_rehearsed_with_the_default_settings(launch: Callable) -> None:
    ended = launch("-m", f"model={','.join(EVERY_CARD)}", "model.scale=tiny", "device=cpu", "show_examples=1")
    assert ended.code == 0 and len(EVERY_CARD) > 20, ended.err


@pytest.mark.slow
def test_what_is_done_from_python_runs(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, shared_cache: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERSONA_SWEEPS_CACHE", str(shared_cache))
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(code.replace("sweep(", f"sweep(*{TINY}, ", 1), {})
    assert capsys.readouterr().out.strip()
