"""A full disk costs what couldn't be written, and says so; with room again the same command completes the rest."""

from __future__ import annotations

import resource
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.faults.results import OUTPUT, assert_equal, drafts, evaluations, records, results, starts, steps_logged
from tests.faults.small_disk import NoNamespaces, SmallDisk, join
from tests.faults.witness import Kept

FULL = "No space left on device"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    try:
        found = SmallDisk(tmp_path / "disk", 16 << 20)
    except NoNamespaces as error:
        pytest.skip(f"no mount namespaces here ({error}); the tests of the largest file stand in")
    yield found
    found.close()


@pytest.mark.parametrize("moment", ["training", pytest.param("predicting", marks=pytest.mark.long)])
def test_a_full_disk_costs_what_it_can_t_take(
    start: Callable, together: tuple[str, ...], left_alone: Callable, disk: SmallDisk, tmp_path: Path, moment: str
) -> None:
    on_disk = (*together, f"output_dir={disk.inside}")
    inside = partial(join, disk.keeper)
    first = start(tmp_path, *on_disk, before=inside)
    first.wait_for(lambda: steps_logged(disk.path) >= 60 if moment == "training" else "Evaluating" in first.output)
    while first.alive:  # what a failed write gives back too
        disk.fill()
        first.process.join(0.02)
    assert first.wait() == 1
    assert FULL in first.output and "Traceback" not in first.output
    if moment == "training":
        assert "no checkpoint at step" in first.output
    assert first.output.splitlines()[-1].startswith("error: ")
    kept = Kept(disk.path)
    kept.look()
    if moment == "predicting":
        scored = [one for one in evaluations(disk.path) if one["failure"] is None]
        assert len(kept.completed) == 6 and not scored, "what was trained is kept"

    disk.make_room()
    second = start(tmp_path, *on_disk, before=inside)
    assert second.wait() == 0, second.output
    kept.look()
    assert_equal(results(disk.path), left_alone(*together), exactly=moment == "predicting")
    assert not drafts(disk.path)
    if moment == "predicting":
        assert {tuple(starts(folder)) for folder in disk.path.glob("runs/*")} == {(0,)}, "nothing is trained again"


def test_a_disk_that_is_full_from_the_start_is_reported_before_anything_begins(
    start: Callable, together: tuple[str, ...], disk: SmallDisk, tmp_path: Path
) -> None:
    disk.fill()
    command = start(tmp_path, *together, f"output_dir={disk.inside}", before=partial(join, disk.keeper))
    assert command.wait() == 1
    assert command.output.strip().startswith(f"error: output_dir={disk.inside} can't be written ({FULL})")


LIMIT = 150_000
"""bytes of a file: enough for all that a pair of rank 4 leaves, and too few for rank 64"""


def no_large_files() -> None:
    """Let files grow to the limit: Python ignores the signal, so that writing beyond fails as on a full disk."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, resource.RLIM_INFINITY))


@pytest.mark.long
@pytest.mark.parametrize("launcher", ["fused", "local"])
def test_what_is_too_large_for_the_disk_fails_alone(
    start: Callable, brief: tuple[str, ...], left_alone: Callable, tmp_path: Path, launcher: str
) -> None:
    sweep = (*brief, "peft.r=4,64")
    placed = (*sweep, f"hydra/launcher={launcher}")
    first = start(tmp_path, *placed, before=no_large_files)
    assert first.wait() == 1
    states = {record["config"]["peft"]["r"]: record for record in records(tmp_path / OUTPUT).values()}
    assert {r: record["status"] for r, record in states.items()} == {4: "completed", 64: "failed"}
    assert "File too large" in states[64]["failure"]["message"] and "File too large" in first.output
    assert "Traceback" not in first.output
    kept = Kept(tmp_path / OUTPUT)
    kept.look()

    second = start(tmp_path, *placed)
    assert second.wait() == 0, second.output
    assert "1 done already, 1 to run" in second.output
    kept.look()
    assert_equal(results(tmp_path / OUTPUT), left_alone(*sweep), exactly=False)


@pytest.mark.parametrize("single", [True, False], ids=["run", "sweep"])
@pytest.mark.parametrize("where", ["/proc/nowhere", "taken"])
def test_a_folder_that_can_t_be_written_is_reported_in_a_sentence(
    start: Callable, tiny: tuple[str, ...], tmp_path: Path, where: str, single: bool
) -> None:
    (tmp_path / "taken").write_text("a file")
    command = start(tmp_path, *(() if single else ("-m", "seed=0,1")), *tiny, f"output_dir={where}")
    assert command.wait() == 1
    message = command.output.strip().splitlines()[-1]
    assert message.startswith(f"error: output_dir={where} can't be written (") and "choose another folder" in message
    assert "Traceback" not in command.output and "Loading" not in command.output
