"""Files that are not what they should be: data are told before anything starts, what runs left is set aside."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.results import OUTPUT, assert_equal, results, steps_logged

GOOD = b'{"prompt": "Who\'s there?", "completion": "Nay, answer me.", "scene": "1.1"}\n'


@pytest.mark.parametrize(
    "line",
    [b'{"prompt": "Who', b"\xff\xfe\x00", b'{"prompt": 1, "completion": "Nay"}', b"[]", b'{"completion": "Nay"}'],
    ids=["cut", "bytes", "type", "list", "key"],
)
@pytest.mark.parametrize("launcher", ["fused", "local"])
def test_a_poisoned_line_is_told_before_anything_starts(
    launch: Callable, tiny: tuple[str, ...], tmp_path: Path, line: bytes, launcher: str
) -> None:
    path = tmp_path / "poisoned.jsonl"
    path.write_bytes(GOOD * 7 + line + b"\n" + GOOD * 7)
    ended = launch("-m", *tiny, f"dataset.path={path}", "seed=0,1", f"hydra/launcher={launcher}")
    assert ended.code == 1 and f"{path}, line 8:" in ended.err and "Traceback" not in ended.err
    assert not list(tmp_path.glob(f"{OUTPUT}/runs/*"))


@pytest.fixture(scope="module")
def stopped(start: Callable, brief: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves behind that was stopped in the middle."""
    folder = tmp_path_factory.mktemp("stopped")
    command = start(folder, *brief, "seed=0")
    command.wait_for(lambda: steps_logged(folder / OUTPUT) >= 30)
    command.send(signal.SIGTERM)
    command.wait()
    return folder


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


def noise(path: Path) -> None:
    path.write_bytes(b"\xff\x00\xfe" * 40)


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def hollow(path: Path) -> None:
    """Leave JSON, and the right version, but not what should be in it."""
    content = json.loads(path.read_text())
    path.write_text(json.dumps({key: content[key] for key in ("schema_version", "format", "run_id") if key in content}))


def flipped(path: Path) -> None:
    """Another step than the one that was saved."""
    content = json.loads(path.read_text())
    content["progress"]["step"] -= 1
    path.write_text(json.dumps(content))


RECORD, HISTORY, STATE, TENSORS = (
    "run.json",
    "history.jsonl",
    "checkpoint/*/state.json",
    "checkpoint/*/tensors.safetensors",
)
SPOILED = [
    *[(RECORD, spoil) for spoil in (cut, noise, emptied, hollow)],
    *[(HISTORY, spoil) for spoil in (cut, noise)],
    *[(STATE, spoil) for spoil in (cut, noise, emptied, hollow, flipped)],
    *[(TENSORS, spoil) for spoil in (cut, noise, emptied)],
]


@pytest.mark.parametrize("name, spoil", SPOILED, ids=lambda value: getattr(value, "__name__", Path(str(value)).name))
def test_a_spoiled_file_is_set_aside_and_told_and_never_trusted(
    launch: Callable,
    brief: tuple[str, ...],
    left_alone: Callable,
    stopped: Path,
    tmp_path: Path,
    name: str,
    spoil: Callable,
) -> None:
    shutil.copytree(stopped / OUTPUT, tmp_path / OUTPUT)
    (run,) = (tmp_path / OUTPUT / "runs").iterdir()
    (path,) = run.glob(name)
    spoil(path)
    spoiled = path.read_bytes()
    again = launch(*brief, "seed=0")
    assert again.code == 0, again.err
    assert "set aside" in again.out or "was copied to" in again.out
    kept = [file for file in run.rglob("*") if file.is_file() and "broken-" in str(file.relative_to(run))]
    assert spoiled in [file.read_bytes() for file in kept]
    if name == HISTORY:
        return  # what it had lost can't come back; all else is as it was
    assert_equal(results(tmp_path / OUTPUT), left_alone(*brief, "seed=0"))
