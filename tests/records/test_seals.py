"""Seals: whatever changes a file is noticed, and what doesn't change it isn't."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from persona_sweeps.records import seals
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.run import changed_weights, history_has_changed, sealed_files
from persona_sweeps.records.seals import is_unchanged, seal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "adapter.safetensors"
    path.write_bytes(b"weights")
    return path


def test_an_untouched_file_is_unchanged_without_being_read(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recorded = seal(path)
    monkeypatch.setattr(seals, "_sha256", lambda *_: pytest.fail("it was read"))
    assert is_unchanged(path, recorded)


def test_a_copy_with_another_time_is_unchanged(path: Path, tmp_path: Path) -> None:
    recorded = seal(path)
    copy = Path(shutil.copyfile(path, tmp_path / "copy"))
    os.utime(copy, ns=(1, 1))
    assert is_unchanged(copy, recorded)


@pytest.mark.parametrize("content", [b"WEIGHTS", b"weight", b""])
def test_other_content_is_noticed(path: Path, content: bytes) -> None:
    recorded = seal(path)
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))
    assert not is_unchanged(path, recorded)


def test_a_missing_file_and_a_hollow_seal_are_changes(path: Path, tmp_path: Path) -> None:
    assert not is_unchanged(tmp_path / "missing", seal(path))
    assert not is_unchanged(path, {}) and not is_unchanged(path, {"bytes": 7, "sha256": None})


def test_of_a_run_its_weights_and_history_are_sealed_but_not_its_card(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.adapter.mkdir()
    for path in (folder.adapter / "adapter_model.safetensors", folder.adapter / "README.md", folder.history):
        path.write_text("as written")
    record = {"provenance": {"files": sealed_files(folder)}}
    assert set(record["provenance"]["files"]) == {"adapter/adapter_model.safetensors", "history.jsonl"}
    (folder.adapter / "README.md").write_text("edited by its owner")
    assert not changed_weights(folder, record) and not history_has_changed(folder, record)
    folder.history.write_text("with a hole")
    assert history_has_changed(folder, record) and not changed_weights(folder, record)
    (folder.adapter / "adapter_model.safetensors").unlink()
    assert changed_weights(folder, record) == [folder.adapter / "adapter_model.safetensors"]
    shutil.rmtree(folder.adapter)
    assert not changed_weights(folder, record), "a folder that was removed to save disk"
    assert not history_has_changed(folder, {}), "a record of an earlier version"
