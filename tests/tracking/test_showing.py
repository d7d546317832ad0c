"""Each run is shown once, again when it has changed, and an error costs no more than what it concerns."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.tracking.entries import RunEntry, entries_of, rows_of
from persona_sweeps.tracking.ledger import Ledger
from persona_sweeps.tracking.showing import Showing
from persona_sweeps.tracking.tensorboard import TensorBoard
from persona_sweeps.tracking.wandb import Wandb
from tests.tracking.conftest import SWEEP, history


def entries(root: Path) -> list[RunEntry]:
    return list(entries_of(root, SWEEP, rows_of(SweepFolder.of(root, SWEEP))))


def change(root: Path, name: str, **changes: Any) -> Path:
    folder = root / "runs" / f"run-{name:0<10}"
    record = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(record | changes))
    return folder


def test_a_failed_run_that_is_tried_again_is_shown_again(recorded: Path) -> None:
    showing = Showing(TensorBoard(), recorded, SWEEP, print)
    showing.update(entries(recorded))
    folder = change(recorded, "failed", status="running")
    (folder / "history.jsonl").write_text(history(1))
    showing.update(entries(recorded))
    change(recorded, "failed", status="failed", failure={"type": "E", "message": "again", "traceback_tail": ""})
    (folder / "history.jsonl").write_text(history(5))
    showing.finish(entries(recorded))
    assert showing.close().shown == 5
    read = EventAccumulator(str(folder / "tensorboard")).Reload()
    assert [point.step for point in read.Scalars("train_nll")] == [1, 2, 3, 4, 5]
    assert b"again" in read.Tensors("status/text_summary")[-1].tensor_proto.string_val[0]


def test_what_has_not_changed_is_left_alone(recorded: Path) -> None:
    showing = Showing(TensorBoard(), recorded, SWEEP, print)
    for _ in range(2):
        showing.update(entries(recorded))
    assert showing.close().shown == 5
    again = Showing(TensorBoard(), recorded, SWEEP, print)
    again.update(entries(recorded))
    count = again.close()
    assert (count.shown, count.before) == (0, 5)


def test_a_run_that_another_process_is_showing_is_left_to_it(recorded: Path) -> None:
    ledger = Ledger(recorded / "sweeps" / SWEEP, "tensorboard", TensorBoard().target(recorded))
    said: list[str] = []
    showing = Showing(TensorBoard(), recorded, SWEEP, said.append)
    with ledger.claim("completed0"):
        showing.update(entries(recorded))
    assert showing.close().shown == 4
    assert not any("isn't" in line for line in said) and ledger.read("completed0") is None


def test_a_tracker_that_can_not_begin_is_asked_once(
    recorded: Path, push: Callable[..., str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(self: Wandb, output_dir: Path) -> str:
        raise RuntimeError("the key is malformed")

    monkeypatch.setattr(Wandb, "target", broken)
    with pytest.raises(SystemExit):
        push("--to", "wandb,tensorboard")
    out = capsys.readouterr().out
    assert out.count("it isn't asked again (RuntimeError: the key is malformed)") == 1
    assert "tensorboard: 5 runs shown" in out
