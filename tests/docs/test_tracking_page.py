"""The commands of the page on watching a sweep, run on tiny twins one after another in an empty folder."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "tracking.md"


@pytest.mark.slow
def test_its_commands_work(command: Callable, tiny: tuple[str, ...], tmp_path: Path) -> None:
    blocks = re.findall(r"```bash\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    lines = [shlex.split(line) for block in blocks for line in block.splitlines()]
    assert len(lines) == 4
    for program, *words in lines:
        assert program == "persona-sweeps"
        more = tiny if words[0] == "sweep" else ()
        done = command(
            *words, *more, folder=tmp_path, python=("-m", "persona_sweeps"), WANDB_MODE="offline", HOME=str(tmp_path)
        )
        assert done.code == 0 and not done.err, (words, done.out, done.err)
        assert "couldn't" not in done.out and "isn't" not in done.out, done.out
    output = tmp_path / "multirun_outputs"
    assert (output / "mlflow.db").is_file() and (
        output / "sweeps" / "watched" / "tracking" / "workspace.json"
    ).is_file()
    assert len(list(output.glob("runs/*/tensorboard/events*"))) == 5
    assert len(list(output.glob("runs/*/wandb/offline-run-*/*.wandb"))) == 5
    assert len(list(output.glob("sweeps/watched/tracking/wandb-*/*.json"))) == 2 * 6
