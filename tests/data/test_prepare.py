"""Prepared data: right, complete about what was left out, and made once."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.config.schema import RunConfig, TrainConfig
from persona_sweeps.data import load_corpus
from persona_sweeps.data.prepare import TOO_LONG, forget_prepared, prepare
from persona_sweeps.data.rendering import RenderedExample, Renderer
from persona_sweeps.data.sources.jsonl import Jsonl
from persona_sweeps.data.store import MANIFEST, PreparedData, save_entry, to_dataset
from persona_sweeps.errors import DataError
from persona_sweeps.prediction.references.untuned import Untuned

Run = Callable[..., PreparedData]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "d.jsonl"
    lines = [{"prompt": "x" * (10 * n), "completion": f"answer {n}", "id": f"e{n}"} for n in range(1, 21)]
    path.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    return path


@pytest.fixture
def run(
    source: Path, own_cache: Path, jsonl_config: Callable[..., Jsonl], make_tokenizer: Callable[..., Any]
) -> Iterator[Run]:
    forget_prepared()

    def prepared(max_length: int = 500, fingerprint: str = "t", fresh: bool = True, **changes: Any) -> PreparedData:
        if fresh:
            forget_prepared()
        config = RunConfig(
            peft=Untuned(), dataset=jsonl_config(source, **changes), train=TrainConfig(max_length=max_length)
        )
        return prepare(config, make_tokenizer("chatml"), fingerprint)

    yield prepared
    forget_prepared()


def rows(data: PreparedData) -> list[list[dict[str, Any]]]:
    return [data.train.to_list(), data.eval.to_list()]


def entries(cache: Path) -> list[Path]:
    return sorted((cache / "data").iterdir())


def test_rows_are_the_rendered_examples(
    run: Run, source: Path, jsonl_config: Callable[..., Jsonl], make_tokenizer: Callable[..., Any]
) -> None:
    data, corpus = run(), load_corpus(jsonl_config(source))
    renderer = Renderer(make_tokenizer("chatml"))
    assert data.train.column_names == [field.name for field in fields(RenderedExample)]
    for side, examples in ((data.train, corpus.train), (data.eval, corpus.eval)):
        assert [RenderedExample(**row) for row in side] == renderer.render(examples)
    assert data.data_fingerprint == corpus.fingerprint
    assert data.template_fingerprint == renderer.template_fingerprint
    assert data.stop_token_ids == renderer.stop_token_ids
    assert data.dropped == {"blank line": 1}


def test_what_is_too_long_is_left_out_and_counted(run: Run) -> None:
    whole, short = run(), run(max_length=130)
    lengths = [len(ids) for side in (whole.train, whole.eval) for ids in side["input_ids"]]
    too_long = sum(length > 130 for length in lengths)
    assert 0 < too_long < len(lengths)
    assert short.dropped == {"blank line": 1, TOO_LONG: too_long}
    assert all(len(ids) <= 130 for side in (short.train, short.eval) for ids in side["input_ids"])


def test_when_nothing_fits_the_message_says_what_would(run: Run) -> None:
    shortest = min(len(ids) for ids in run().train["input_ids"])
    with pytest.raises(DataError, match=f"training examples fits in train.max_length=10 .* Set .* to {shortest} or"):
        run(max_length=10)


def test_the_second_time_nothing_is_made(run: Run, own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = run()
    assert run(fresh=False) is first
    monkeypatch.setattr(Renderer, "render", None)
    assert rows(run()) == rows(first)
    assert len(entries(own_cache)) == 1


@pytest.mark.parametrize(
    "change", [{"max_length": 499}, {"fingerprint": "u"}, {"split_seed": 1}, {"loss_on": "all_tokens"}]
)
def test_whatever_can_change_the_rows_makes_another_entry(run: Run, own_cache: Path, change: dict[str, Any]) -> None:
    run()
    run(**change)
    assert len(entries(own_cache)) == 2


def test_keys_that_lead_to_the_same_rows_share_an_entry(run: Run, own_cache: Path) -> None:
    run()
    run(validation_fraction=0.3, min_examples=3, limit=100)
    assert len(entries(own_cache)) == 1


def test_a_changed_source_is_read_again_even_in_one_process(run: Run, source: Path) -> None:
    before = run()
    source.write_text(source.read_text().replace("answer", "reply"))
    after = run(fresh=False)
    assert after.data_fingerprint != before.data_fingerprint
    assert all(text.startswith("reply") for text in after.train["completion"])


@pytest.mark.parametrize("file", [MANIFEST, "train.arrow", "eval.arrow"])
@pytest.mark.parametrize("damage", ["cut", "gone", "flipped"])
def test_a_damaged_entry_is_made_again(
    run: Run, own_cache: Path, file: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = rows(run())
    path = entries(own_cache)[0] / file
    content = path.read_bytes()
    path.unlink()
    if damage != "gone":
        path.write_bytes(content[:-9] if damage == "cut" else content.replace(content[-9:-1], b"!" * 8))
    with caplog.at_level(logging.WARNING):
        assert rows(run()) == good
    assert "made again" in caplog.text
    caplog.clear()
    assert rows(run()) == good and not caplog.text
    assert len(entries(own_cache)) == 1


def test_what_later_work_leaves_beside_an_entry_does_no_harm(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    run().train.map(lambda row: {"length": len(row["input_ids"])})
    run()
    assert not caplog.text


def test_writers_at_the_same_time_all_get_the_data(run: Run, own_cache: Path) -> None:
    data = run()
    folder = own_cache / "data" / "shared"

    def make(draft: Path | None) -> PreparedData:
        parts = {"train": data.train, "eval": data.eval}
        path = {part: draft and draft / part for part in parts}
        made = {part: to_dataset((RenderedExample(**row) for row in rows), path[part]) for part, rows in parts.items()}
        return replace(data, **made)

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: save_entry(folder, make), range(8)))
    assert all(rows(one) == rows(data) for one in found)
    assert len(entries(own_cache)) == 2


def test_a_cache_that_cannot_be_written_costs_a_sentence(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("PERSONA_SWEEPS_CACHE", str(tmp_path / "file" / "cache"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    assert len(run().train) == 16
    told = capsys.readouterr().err
    assert told.count("can't be written") == 1 and "PERSONA_SWEEPS_CACHE" in told
    assert len(entries(Path(os.environ["PERSONA_SWEEPS_CACHE"]))) == 1


def test_what_is_too_long_may_lose_its_end_and_is_counted(run: Run, make_tokenizer: Callable[..., Any]) -> None:
    whole, cut = run(), run(max_length=130, too_long="cut")
    by_id = {row["id"]: row for side in (whole.train, whole.eval) for row in side}
    changed = 0
    for row in (row for side in (cut.train, cut.eval) for row in side):
        before = by_id[row["id"]]
        assert row["input_ids"] == before["input_ids"][:130] and row["prompt_length"] == before["prompt_length"] < 130
        assert before["completion"].startswith(row["completion"])
        changed += row["input_ids"] != before["input_ids"]
    assert cut.cut == changed > 0
    assert len(cut.train) + len(cut.eval) + cut.dropped.get(TOO_LONG, 0) == len(by_id)


def test_a_dialogue_that_is_too_long_loses_its_oldest_turns_and_keeps_its_answer(
    run: Run, source: Path, make_tokenizer: Callable[..., Any]
) -> None:
    def line(number: int, turns: int) -> dict[str, Any]:
        talk = [{"role": role, "content": f"{role} {n} " * 5} for n in range(turns) for role in ("user", "assistant")]
        return {"messages": [{"role": "system", "content": "Be Ann."}, *talk], "id": f"e{number}"}

    source.write_text("\n".join(json.dumps(line(number, 12)) for number in range(6)))
    (whole, *_), (cut, *_) = rows(run(max_length=4000)), rows(run(max_length=400, too_long="cut"))
    for before, after in zip(whole, cut, strict=True):
        assert len(after["input_ids"]) <= 400 and after["completion"] == before["completion"]
        assert "Be Ann." in after["prompt"] and "user 11" in after["prompt"] and "user 0" not in after["prompt"]
        answer = len(before["input_ids"]) - before["prompt_length"]
        assert after["input_ids"][-answer:] == before["input_ids"][-answer:]


def test_windows_keep_whatever_is_too_long(run: Run) -> None:
    whole, read = run(), run(max_length=130, too_long="windows", stride=100)
    assert rows(read) == rows(whole) and read.windows == (130, 100) and read.cut == 0
    assert run(max_length=130, too_long="windows").windows == (130, 65)
