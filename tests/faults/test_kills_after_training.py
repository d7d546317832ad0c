"""A sweep that is killed while it predicts or scores trains nothing again, and ends as if nothing had been."""

from __future__ import annotations

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.faults.hits import hit_at
from tests.faults.results import OUTPUT, assert_equal, drafts, folder_of, records, results, starts, steps_logged
from tests.faults.witness import Kept

MOMENTS = {
    "nothing-predicted": ("predictions/*.jsonl", 1),
    "lines-without-a-head": ("predictions/*.json", 4),
    "all-but-one-predicted": ("predictions/*.jsonl", 12),
    "nothing-scored": ("evaluations/*.samples.jsonl", 1),
    "samples-without-an-evaluation": ("evaluations/*.json", 4),
}
"""which file is half written when the kill comes: six runs have twelve predictions and six evaluations"""


def assert_nothing_trained_again(output: Path) -> None:
    assert steps_logged(output) == 600
    for run_id, record in records(output).items():
        assert record["status"] == "completed" and starts(folder_of(output, run_id)) == [0]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_kill_while_predicting_or_scoring_costs_no_training(
    start: Callable, together: tuple[str, ...], left_alone: Callable, tmp_path: Path, moment: str
) -> None:
    output = tmp_path / OUTPUT
    killed = start(tmp_path, *together, before=partial(hit_at, signal.SIGKILL, *MOMENTS[moment]))
    assert killed.wait() == -signal.SIGKILL, killed.output
    assert_nothing_trained_again(output)
    assert len(drafts(output)) == 1, "the file that was under way"
    kept = Kept(output)
    kept.look()

    again = start(tmp_path, *together)
    assert again.wait() == 0, again.output
    assert_nothing_trained_again(output)
    kept.look()
    assert_equal(results(output), left_alone(*together))
    assert not drafts(output) and not list(output.glob("runs/*/lease"))


def test_kill_after_kill_each_takes_a_little_further(
    start: Callable, together: tuple[str, ...], left_alone: Callable, tmp_path: Path
) -> None:
    """Each command is killed at its second prediction, then at its second evaluation."""
    output, kept, ends = tmp_path / OUTPUT, Kept(tmp_path / OUTPUT), []
    for pattern in ["predictions/*.json"] * 20 + ["evaluations/*.json"] * 20:
        command = start(tmp_path, *together, before=partial(hit_at, signal.SIGKILL, pattern, 2))
        ends.append(command.wait())
        kept.look()
        if ends[-1] == 0:
            break
    assert ends[-1] == 0 and len(ends) > 10
    assert_nothing_trained_again(output)
    assert_equal(results(output), left_alone(*together))
