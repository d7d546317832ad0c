"""Each published project runs as one line, from Shakespeare in the form of its data, and stands beside its board."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.__main__ import main as analysis
from tests.conftest import CONF, Ended

SMALL = (
    "model.scale=tiny", "quantization=none", "dataset.limit=10", "dataset.eval_limit=6", "train.max_steps=1",
    "train.max_length=256", "generation.max_new_tokens=4", "device=cpu",
)  # fmt: skip
PROJECTS = {
    "friends_scripts": ("dataset.stride=128", "generation.limit=3", "dataset.limit=3", "dataset.eval_limit=2"),
    "friends_scripts_code": ("dataset.stride=128", "generation.limit=3", "dataset.limit=3", "dataset.eval_limit=2"),
    "potter_dialogue": ("train.max_length=1024",),
    "documentary_personas": ("model=llama3_8b,llama3_8b_instruct,mistral_7b",),
    "documentary_personas_config": (),
    "chandler": (),
    "stories": ("model=gpt2", "dataset.stride=null"),
}
"""experiment → overrides that make it shorter still"""


def board_of(project: str) -> str:
    """Return the name of a project's board: variants of an experiment share one."""
    boards = [path.stem for path in (CONF.parent / "analysis/published/data").glob("*.json")]
    return next(name for name in boards if project.startswith(name))


def test_every_published_board_has_its_experiment() -> None:
    experiments = {path.stem for path in (CONF / "experiment").glob("*.yaml")}
    assert experiments >= set(PROJECTS) and {board_of(name) for name in PROJECTS} <= experiments


@pytest.mark.slow
@pytest.mark.parametrize("project", PROJECTS)
def test_a_project_runs_from_one_line_to_its_table(
    launch: Callable[..., Ended], project: str, capsys: pytest.CaptureFixture[str]
) -> None:
    ended = launch("-m", f"experiment={project}", *SMALL, *PROJECTS[project])
    assert ended.code == 0, ended.err
    records = ended.records()
    assert records and all(record["status"] == "completed" for record in records)
    assert re.search("stands? in", ended.out + ended.err), "it says that Shakespeare stands in"
    capsys.readouterr()
    assert analysis(["leaderboard", "--against", board_of(project), "--output-dir", str(ended.output)]) == 0
    printed = capsys.readouterr().out
    assert "| ours" in printed and "| theirs" in printed and "No number of theirs" not in printed
    assert Path(ended.output / "sweeps" / project / "sweep.json").exists()
