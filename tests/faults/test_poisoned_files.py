"""Files that are not what they should be: data are reported before anything starts, what runs left is set aside."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from tests.faults.hits import hit_at
from tests.faults.results import OUTPUT, assert_equal, results, starts, steps_logged

GOOD = b'{"prompt": "Who\'s there?", "completion": "Nay, answer me.", "scene": "1.1"}\n'


@pytest.mark.parametrize(
    "line",
    [b'{"prompt": "Who', b"\xff\xfe\x00", b'{"prompt": 1, "completion": "Nay"}', b"[]", b'{"completion": "Nay"}'],
    ids=["cut", "bytes", "type", "list", "key"],
)
@pytest.mark.parametrize("launcher", ["fused", "local"])
def test_a_poisoned_line_is_reported_before_anything_starts(
    launch: Callable, tiny: tuple[str, ...], tmp_path: Path, line: bytes, launcher: str
) -> None:
    path = tmp_path / "poisoned.jsonl"
    path.write_bytes(GOOD * 7 + line + b"\n" + GOOD * 7)
    ended = launch("-m", *tiny, f"dataset.path={path}", "seed=0,1", f"hydra/launcher={launcher}")
    assert ended.code == 1 and f"{path}, line 8:" in ended.err and "Traceback" not in ended.err
    assert not list(tmp_path.glob(f"{OUTPUT}/runs/*"))


@pytest.fixture(scope="module")
def one(brief: tuple[str, ...]) -> tuple[str, ...]:
    return (*brief, "seed=0")


@pytest.fixture(scope="module")
def stopped(start: Callable, one: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves behind that was stopped in the middle."""
    folder = tmp_path_factory.mktemp("stopped")
    command = start(folder, *one)
    command.wait_for(lambda: steps_logged(folder / OUTPUT) >= 30)
    command.send(signal.SIGTERM)
    command.wait()
    return folder


@pytest.fixture(scope="module")
def predicted(start: Callable, one: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves behind that was killed as it was about to be scored."""
    folder = tmp_path_factory.mktemp("predicted")
    assert start(folder, *one, before=partial(hit_at, signal.SIGKILL, "evaluations/*", 1)).wait() == -signal.SIGKILL
    return folder


@pytest.fixture(scope="module")
def evaluated(start: Callable, one: tuple[str, ...], predicted: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run leaves behind that has ended."""
    folder = tmp_path_factory.mktemp("evaluated")
    shutil.copytree(predicted / OUTPUT, folder / OUTPUT)
    assert start(folder, *one).wait() == 0
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


def reworded(path: Path) -> None:
    """Whole lines of JSON, with other words in them."""
    path.write_bytes(path.read_bytes().replace(b"answer", b"ANSWER"))


def flipped(path: Path) -> None:
    """Another step than the one that was saved."""
    content = json.loads(path.read_text())
    content["progress"]["step"] -= 1
    path.write_text(json.dumps(content))


def each(usual: dict[str, list[Callable]], others: dict[str, list[Callable]], *before: str) -> list:
    """Return a case for each file and way to spoil it; those of `others` are in the long series."""
    pairs = [(name, spoil, ()) for name, spoils in usual.items() for spoil in spoils]
    pairs += [(name, spoil, (pytest.mark.long,)) for name, spoils in others.items() for spoil in spoils]
    return [pytest.param(*before, name, spoil, marks=marks) for name, spoil, marks in pairs]


RECORD, HISTORY = "run.json", "history.jsonl"
STATE, TENSORS = "checkpoint/*/state.json", "checkpoint/*/tensors.safetensors"
LINES, HEAD = "predictions/*.jsonl", "predictions/*.json"
SAMPLES, EVALUATION = "evaluations/*.samples.jsonl", "evaluations/*.json"
STOPPED = each(
    {RECORD: [cut, hollow], HISTORY: [cut, noise], STATE: [cut, hollow, flipped], TENSORS: [cut]},
    {RECORD: [noise, emptied], STATE: [noise, emptied], TENSORS: [noise, emptied]},
)
"""what may be spoiled while a run trains"""
PREDICTED = each({LINES: [cut, reworded], HEAD: [hollow]}, {LINES: [noise, emptied], HEAD: [cut, noise]}, "predicted")
"""what may be spoiled once it has predicted"""
EVALUATED = each({EVALUATION: [cut, hollow], SAMPLES: [cut]}, {EVALUATION: [noise], SAMPLES: [emptied]}, "evaluated")
"""what may be spoiled once it is evaluated"""


def named(value: object) -> str:
    return getattr(value, "__name__", Path(str(value)).name)


def spoiled(whole: Path, folder: Path, name: str, spoil: Callable[[Path], None]) -> tuple[Path, bytes]:
    """Copy what a run left and spoil a file of it; return the run's folder, and what is in the spoiled file."""
    shutil.copytree(whole / OUTPUT, folder / OUTPUT)
    (run,) = (folder / OUTPUT / "runs").iterdir()
    path = sorted(run.glob(name))[0]
    spoil(path)
    return run, path.read_bytes()


def set_aside(run: Path) -> list[bytes]:
    """Return what was set aside in a run's folder."""
    kept = [path for path in run.rglob("*") if path.is_file() and "broken-" in str(path.relative_to(run))]
    return [path.read_bytes() for path in kept]


@pytest.mark.parametrize("name, spoil", STOPPED, ids=named)
def test_a_spoiled_file_of_a_stopped_run_is_set_aside_and_never_trusted(
    launch: Callable,
    one: tuple[str, ...],
    left_alone: Callable,
    stopped: Path,
    tmp_path: Path,
    name: str,
    spoil: Callable,
) -> None:
    run, content = spoiled(stopped, tmp_path, name, spoil)
    again = launch(*one)
    assert again.code == 0, again.err
    assert "set aside" in again.out or "was copied to" in again.out
    assert content in set_aside(run)
    if name == HISTORY:
        return  # what it had lost can't come back; all else is as it was
    assert_equal(results(tmp_path / OUTPUT), left_alone(*one))


@pytest.mark.parametrize("after, name, spoil", [*PREDICTED, *EVALUATED], ids=named)
def test_a_spoiled_file_of_a_trained_run_is_set_aside_and_made_anew_without_training(
    request: pytest.FixtureRequest,
    launch: Callable,
    one: tuple[str, ...],
    left_alone: Callable,
    tmp_path: Path,
    name: str,
    spoil: Callable,
    after: str,
) -> None:
    run, content = spoiled(request.getfixturevalue(after), tmp_path, name, spoil)
    again = launch(*one)
    assert again.code == 0, again.err
    assert "set aside" in again.out and content in set_aside(run)
    assert starts(run) == [0], "nothing is trained again"
    assert_equal(results(tmp_path / OUTPUT), left_alone(*one))


def garbled(path: Path) -> None:
    """Other bytes, as many as before."""
    path.write_bytes(bytes(byte ^ 0x55 for byte in path.read_bytes()))


@pytest.mark.parametrize("spoil", [garbled, *(pytest.param(how, marks=pytest.mark.long) for how in (cut, noise))])
@pytest.mark.parametrize("after", ["predicted", "evaluated"])
def test_a_spoiled_adapter_is_set_aside_and_its_run_trained_again(
    request: pytest.FixtureRequest,
    launch: Callable,
    one: tuple[str, ...],
    left_alone: Callable,
    tmp_path: Path,
    spoil: Callable,
    after: str,
) -> None:
    run, content = spoiled(request.getfixturevalue(after), tmp_path, "adapter/*.safetensors", spoil)
    again = launch(*one)
    assert again.code == 0, again.err
    [adapter] = run.glob("adapter/*.safetensors")
    shown = " ".join(again.out.split())
    assert f"{adapter.relative_to(tmp_path)} has changed since it was written: adapter was set aside" in shown
    assert content in set_aside(run) and adapter.read_bytes() != content
    assert_equal(results(tmp_path / OUTPUT), left_alone(*one))


def test_samples_with_other_words_of_the_same_length_are_noticed(
    launch: Callable, one: tuple[str, ...], left_alone: Callable, evaluated: Path, tmp_path: Path
) -> None:
    run, content = spoiled(evaluated, tmp_path, SAMPLES, garbled)
    again = launch(*one)
    assert again.code == 0 and "set aside" in again.out and content in set_aside(run)
    assert starts(run) == [0], "nothing is trained again"
    assert_equal(results(tmp_path / OUTPUT), left_alone(*one))
