"""A file or a folder is replaced whole or not at all, whatever happens meanwhile."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from persona_sweeps.records import files
from persona_sweeps.records.files import remove_drafts, replacing, replacing_file, write_text


def tree(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("before", [None, {}, {"old": "1"}])
def test_a_folder_takes_the_place_of_what_was_there(tmp_path: Path, before: dict[str, str] | None) -> None:
    folder = tmp_path / "new" / "entry"
    if before is not None:
        folder.mkdir(parents=True)
        for name, text in before.items():
            (folder / name).write_text(text)
    with replacing(folder) as draft:
        (draft / "sub").mkdir()
        (draft / "sub" / "file").write_text("2")
        assert not folder.exists() or tree(folder) == before
    assert tree(folder) == {"sub/file": "2"}
    assert os.listdir(folder.parent) == ["entry"]


def test_what_is_raised_while_it_is_written_leaves_it_as_it_was(tmp_path: Path) -> None:
    write_text(tmp_path / "entry" / "old", "1")
    with pytest.raises(ValueError), replacing(tmp_path / "entry") as draft:
        (draft / "file").write_text("2")
        raise ValueError
    with pytest.raises(ValueError), replacing_file(tmp_path / "entry" / "old") as file:
        file.write(b"2")
        raise ValueError
    assert tree(tmp_path) == {"entry/old": "1"}


def test_a_disk_that_fails_at_the_end_leaves_it_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_text(tmp_path / "entry" / "old", "1")

    def full(descriptor: int) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="disk full"), replacing(tmp_path / "entry") as draft:
        (draft / "file").write_text("2")
    with pytest.raises(OSError, match="disk full"):
        write_text(tmp_path / "entry" / "old", "2")
    assert tree(tmp_path) == {"entry/old": "1"}


def test_all_that_was_written_is_on_the_disk_before_it_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[str] = []

    def flush(path: Path) -> None:
        where = {tmp_path: "the parent"}.get(path, "/".join(path.parts[len(tmp_path.parts) + 1 :]) or "itself")
        flushed.append(where if not (tmp_path / "entry").exists() or path == tmp_path else f"late {where}")

    monkeypatch.setattr(files, "_flush", flush)
    with replacing(tmp_path / "entry") as draft:
        (draft / "sub").mkdir()
        (draft / "sub" / "file").write_text("2")
    assert sorted(flushed[:-1]) == ["itself", "sub", "sub/file"] and flushed[-1] == "the parent"


@pytest.mark.parametrize("good", [True, False])
def test_what_another_has_put_there_meanwhile_stays_where_it_is_as_good(tmp_path: Path, good: bool) -> None:
    folder = tmp_path / "entry"
    with replacing(folder, unless=lambda: good) as draft:
        (draft / "file").write_text("ours")
        write_text(folder / "file", "theirs")
    assert tree(tmp_path) == {"entry/file": "theirs" if good else "ours"}


def test_a_folder_is_as_readable_as_the_user_s_umask_allows(tmp_path: Path) -> None:
    with replacing(tmp_path / "entry"):
        pass
    (tmp_path / "ordinary").mkdir()
    assert (tmp_path / "entry").stat().st_mode == (tmp_path / "ordinary").stat().st_mode


def test_drafts_of_killed_processes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in (".entry-abc/file", ".step-1-abc/file", "entry/file", ".other-abc/file"):
        write_text(tmp_path / name, "1")
    write_text(tmp_path / ".entry-def", "1")
    remove_drafts(tmp_path / "entry")
    assert set(os.listdir(tmp_path)) == {".step-1-abc", "entry", ".other-abc"}
    remove_drafts(tmp_path / "step-*")
    assert set(os.listdir(tmp_path)) == {"entry", ".other-abc"}


def test_a_folder_s_files_are_readable_as_the_umask_says_whatever_a_library_wrote(tmp_path: Path) -> None:
    former = os.umask(0o007)
    try:
        with replacing(tmp_path / "adapter") as draft:
            (draft / "deep").mkdir(mode=0o700)
            for path in (draft / "weights", draft / "deep" / "more"):
                path.write_bytes(b"1")
                path.chmod(0o600)
    finally:
        os.umask(former)
    modes = {path.name: path.stat().st_mode & 0o777 for path in [tmp_path / "adapter", *tmp_path.rglob("adapter/**/*")]}
    assert modes == {"adapter": 0o770, "deep": 0o770, "weights": 0o660, "more": 0o660}
