"""What trackers are shown of a sweep: each run once, with what its records say."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from persona_sweeps.records.folders import SweepFolder
from persona_sweeps.tracking.entries import EntryCache, RunEntry, entries_of, rows_of, tables_of
from persona_sweeps.tracking.showing import Curve
from tests.tracking.conftest import SWEEP, add_run, history


def entries(root: Path, sweep: str = SWEEP) -> dict[str, RunEntry]:
    found = list(entries_of(root, sweep, rows_of(SweepFolder.of(root, SWEEP))))
    assert len({entry.id for entry in found}) == len(found)
    return {entry.name.removeprefix("run-"): entry for entry in found}


def test_each_run_has_its_kind_its_state_and_the_reason(recorded: Path) -> None:
    found = entries(recorded)
    assert {name: (entry.job_type, entry.status) for name, entry in found.items()} == {
        "completed": ("train", "completed"),
        "pruned": ("train", "pruned"),
        "failed": ("train", "failed"),
        "untuned": ("reference", "completed"),
        "earlier": ("train", "completed"),
    }
    assert found["failed"].reason == "the loss diverged" and found["pruned"].reason.startswith("worse than")
    assert found["completed"].id == "completed0" and found["earlier"].id.startswith("earlier000-")
    assert not found["untuned"].points() and len(found["completed"].samples()) == 3


def test_a_winner_trained_anew_is_a_final_run(recorded: Path) -> None:
    path = recorded / "runs" / "run-completed0" / "run.json"
    record = json.loads(path.read_text())
    record["provenance"]["study"] = {"study": "s", "trial": 3, "final": True}
    path.write_text(json.dumps(record))
    assert entries(recorded)["completed"].job_type == "final"


def test_a_second_evaluation_is_an_entry_of_its_own_and_the_first_keeps_its_id(recorded: Path) -> None:
    folder = recorded / "runs" / "run-completed0" / "evaluations"
    for name, created in (("a", "2026-11-28T02:00:00"), ("e", "2026-11-28T01:00:00")):
        record = json.loads((folder / "e.json").read_text()) | {"evaluation_id": name}
        record["provenance"]["created"] = created
        (folder / f"{name}.json").write_text(json.dumps(record))
    rows = [{"folder": "runs/run-completed0", "evaluation_id": name} for name in ("a", "e")]
    first, second = entries_of(recorded, SWEEP, rows)
    assert (first.id, first.evaluation_id, first.job_type) == ("completed0", "e", "train")
    assert (second.id, second.evaluation_id, second.job_type) == ("completed0-a", "a", "evaluation")


def test_secrets_and_trackers_stay_out(recorded: Path) -> None:
    path = recorded / "runs" / "run-completed0" / "run.json"
    record = json.loads(path.read_text())
    record["config"] |= {"tracker": {"wandb": {}}, "hub": {"api_key": "plain"}}
    record["provenance"]["git_commit"] = "0123456789" * 4
    path.write_text(json.dumps(record))
    entry = entries(recorded)["completed"]
    assert "tracker" not in entry.config and entry.config["hub"] == {"api_key": "<redacted>"}
    assert entry.config["provenance"]["git_commit"] == "0123456789" * 4


def test_unreadable_records_are_left_out(recorded: Path) -> None:
    (recorded / "runs" / "run-completed0" / "run.json").write_text("{")
    shutil.rmtree(recorded / "runs" / "run-failed0000")
    assert entries(recorded).keys() == {"pruned", "untuned", "earlier"}


def test_the_digest_changes_with_what_is_shown_only(recorded: Path) -> None:
    before = entries(recorded)["completed"].digest
    assert entries(recorded)["completed"].digest == before
    path = recorded / "runs" / "run-completed0" / "evaluations" / "e.json"
    record = json.loads(path.read_text())
    record["metrics"]["rougeL"] = 0.75
    path.write_text(json.dumps(record))
    assert entries(recorded)["completed"].digest != before


def test_the_tables_are_those_of_analysis(recorded: Path) -> None:
    tables = {table.name: table for table in tables_of(recorded, SWEEP)}
    board = tables["leaderboard"]
    assert board.rows and all(len(row) == len(board.columns) for row in board.rows)
    column = list(board.columns).index("run_ids")
    assert {row[column] for row in board.rows} >= {"completed0", "untuned000"}


def test_a_cache_sees_what_changes(tmp_path: Path) -> None:
    row = add_run(tmp_path, "live", "running")
    cache = EntryCache(tmp_path, SWEEP)
    assert [entry.status for entry in cache.read([row])] == ["running"]
    path = tmp_path / row["folder"] / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"status": "failed"}))
    assert [entry.status for entry in cache.read([row])] == ["failed"]
    assert len(cache.read([row, add_run(tmp_path, "other")])) == 2


def test_a_curve_gives_each_point_once_whatever_becomes_of_the_file(tmp_path: Path) -> None:
    path, curve = tmp_path / "history.jsonl", Curve(tmp_path / "history.jsonl")
    assert curve.new() == []
    path.write_text(history(3)[:-5])
    assert [point["step"] for point in curve.new()] == [1, 2]
    path.write_text(history(1))
    assert curve.new() == []
    path.write_text(history(2) + "not JSON\n" + history(4)[len(history(2)) :])
    points = curve.new()
    assert [point["step"] for point in points] == [3, 4]
    assert all(isinstance(value, int | float) for point in points for value in point.values())
