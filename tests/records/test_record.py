"""Records: whole files or none, and no secrets in them."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.records.files import write_json, write_json_lines, write_text
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.identity import RUN_SCHEMA
from persona_sweeps.records.redaction import REDACTED, redacted
from persona_sweeps.records.run import UNTRAINED, is_trained, read_record

HEX40 = "0123456789abcdef0123456789abcdef01234567"
HF_TOKEN = "hf_" + "a" * 34


@pytest.mark.parametrize(
    "key", ["api_key", "apikey", "WANDB_API_KEY", "HF_TOKEN", "token", "client_secret", "password"]
)
def test_values_of_keys_that_name_a_secret_are_hidden(key: str) -> None:
    assert redacted({"outer": [{key: "of any form"}]}) == {"outer": [{key: REDACTED}]}


@pytest.mark.parametrize("text", [HF_TOKEN, HEX40, "sk-" + "b" * 24])
def test_texts_that_look_like_a_secret_are_hidden_wherever_they_stand(text: str) -> None:
    assert text not in json.dumps(redacted({"note": f"log in with {text}, please", "list": [text, {"x": text}]}))


def test_a_secret_in_an_override_is_hidden_and_the_rest_of_it_kept() -> None:
    command = "launch.py -m +hydra.job.env_set.WANDB_API_KEY=of-any-form peft.r=4 generation.max_new_tokens=8"
    assert redacted(command) == command.replace("of-any-form", REDACTED)


def test_a_commit_is_no_secret() -> None:
    kept = {"revision": HEX40, "path": f"/models/snapshots/{HEX40}/model", "overrides": [f"model.revision={HEX40}"]}
    assert redacted(kept) == kept


def test_ordinary_configs_are_left_as_they_are() -> None:
    config = {"num_virtual_tokens": 16, "all_tokens": "x", "max_new_tokens": "8", "r": 4, "x": None, "lr": 1e-3}
    assert redacted(config) == config


@given(st.dictionaries(st.sampled_from(["token", "api_key", "name", "r"]), st.text(max_size=60), max_size=4))
def test_hiding_twice_changes_nothing_more(value: dict[str, str]) -> None:
    assert redacted(redacted(value)) == redacted(value)


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"status": "running"})
    for bad in ({"x": object()}, {"x": float("nan")}, {"x": "\ud800"}):
        with pytest.raises((TypeError, ValueError)):
            write_json(path, bad)
    with pytest.raises(TypeError):
        write_json_lines(path, [{"x": 1}, {"x": object()}])
    assert json.loads(path.read_text()) == {"status": "running"}
    assert list(tmp_path.iterdir()) == [path]


def test_files_are_readable_as_the_user_s_umask_allows(tmp_path: Path) -> None:
    write_text(tmp_path / "written", "x")
    (tmp_path / "ordinary").write_text("x")
    assert _mode(tmp_path / "written") == _mode(tmp_path / "ordinary")


def test_text_comes_back_as_it_was(tmp_path: Path) -> None:
    rows = [{"text": "naïve\n\u2028 “quoted”"}, {"text": ""}]
    path = tmp_path / "new" / "folder" / "samples.jsonl"
    write_json_lines(path, rows)
    assert [json.loads(line) for line in path.read_bytes().splitlines()] == rows


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"status": "completed"}'])
def test_what_is_no_record_reads_as_none(tmp_path: Path, content: bytes | None) -> None:
    folder = RunFolder(tmp_path)
    if content is not None:
        folder.record.write_bytes(content)
    assert read_record(folder) is None
    assert not is_trained(folder)


def record(status: str, **changes: Any) -> dict[str, Any]:
    parts = {"training": UNTRAINED, "provenance": {}, "config": {}}
    return {"schema_version": RUN_SCHEMA, "status": status, **parts, **changes}


@pytest.mark.parametrize("status, trained", [("completed", True), ("failed", False), ("running", False)])
def test_only_a_completed_record_is_trained(tmp_path: Path, status: str, trained: bool) -> None:
    write_json(RunFolder(tmp_path).record, record(status))
    assert is_trained(RunFolder(tmp_path)) is trained


def test_a_record_of_another_schema_reads_as_none(tmp_path: Path) -> None:
    write_json(RunFolder(tmp_path).record, record("completed", schema_version=RUN_SCHEMA - 1))
    assert read_record(RunFolder(tmp_path)) is None


@pytest.mark.parametrize("left", ["adapter", "model"])
def test_a_run_is_trained_only_while_what_it_trained_is_in_its_folder(tmp_path: Path, left: str) -> None:
    write_json(RunFolder(tmp_path).record, record("completed", training=UNTRAINED | {"trainable_parameters": 8}))
    assert not is_trained(RunFolder(tmp_path))
    (tmp_path / left).mkdir()
    assert is_trained(RunFolder(tmp_path))


def _mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)
