"""The README's commands work as they stand, and what it names exists."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.__main__ import main as analysis

REPOSITORY = Path(__file__).resolve().parents[1]
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"(<!-- not run: .+? -->\n+)?```bash\n(.*?)```", re.DOTALL)
NOT_RUN_HERE = ("make", "git", "cd", "pip")
TINY = (
    "model.scale=tiny", "train.max_steps=2", "dataset.limit=12", "dataset.eval_limit=4",
    "generation.max_new_tokens=4", "device=cpu",
)  # fmt: skip


def commands() -> list[list[str]]:
    """Return the words of every command in a bash block, comments and blocks marked as not run left out."""
    found = []
    for skipped, block in BLOCK.findall(README):
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
        else:
            elsewhere = [] if "published" in words else ["--output-dir", str(tmp_path)]  # which reads no runs
            code, printed = analysis([*words[3:], *elsewhere]), capsys.readouterr().out
        assert code == 0 and printed, f"{shlex.join(words)}\n{printed}"
