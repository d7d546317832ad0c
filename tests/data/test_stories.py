"""Source stories: tables and line-aligned files, conditions before the prompt, and any number of stories."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.streaming import in_a_process, stories, write_stories
from persona_sweeps.config.schema import RunConfig, TrainConfig
from persona_sweeps.data import load_corpus
from persona_sweeps.data.example import Corpus, Example
from persona_sweeps.data.prepare import prepare
from persona_sweeps.data.rendering import RenderedExample, Renderer
from persona_sweeps.data.sources.stories import Stories
from persona_sweeps.errors import ConfigError, DataError
from persona_sweeps.prediction.references.untuned import Untuned

pytestmark = pytest.mark.usefixtures("own_cache")

ROWS = [
    {"prompt": f"[ WP ] Tale {n} begins .", "story": f"`` Hm {n} , '' it is n't . <newline> End ."} for n in range(12)
]
STORY = '"Hm {}," it isn\'t.\nEnd.'


def source(path: Path | None, **changes: Any) -> Stories:
    return Stories(**{"source": "stories", "path": None if path is None else str(path), "min_examples": 2, **changes})


def everything(corpus: Corpus) -> dict[str, Example]:
    return {example.id: example for example in (*corpus.train, *corpus.eval, *corpus.validation)}


def asked(example: Example) -> str:
    assert not isinstance(example.prompt, str)
    return example.prompt[-1].content


def write_jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def write_csv(path: Path, rows: list[dict[str, Any]]) -> Path:
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(rows)
    return path


def write_parquet(path: Path, rows: list[dict[str, Any]]) -> Path:
    from datasets import Dataset

    Dataset.from_list(rows).to_parquet(path)
    return path


def write_aligned(path: Path, rows: list[dict[str, Any]]) -> Path:
    for suffix, key in ((".wp_source", "prompt"), (".wp_target", "story")):
        path.with_suffix(suffix).write_text("".join(f"{row[key]}\n" for row in rows), encoding="utf-8")
    return path.with_suffix(".wp_source")


@pytest.mark.parametrize(
    ("name", "write"),
    [("d.jsonl", write_jsonl), ("d.csv", write_csv), ("d.parquet", write_parquet), ("d.wp_source", write_aligned)],
)
def test_every_format_gives_the_same_stories(tmp_path: Path, name: str, write: Callable[..., Path]) -> None:
    found = everything(load_corpus(source(write(tmp_path / name, ROWS))))
    assert {(asked(example), example.completion) for example in found.values()} == {
        (f"[WP] Tale {n} begins.", STORY.format(n)) for n in range(12)
    }
    assert all(example.metadata == {"tag": "WP"} for example in found.values())


def test_the_parts_of_a_folder_are_its_split(tmp_path: Path) -> None:
    for part, rows in (("train", ROWS[:8]), ("valid", ROWS[8:10]), ("test", ROWS[9:])):
        write_aligned(tmp_path / part, rows)
    corpus = load_corpus(source(tmp_path), monitored=True)
    assert (len(corpus.train), len(corpus.validation), len(corpus.eval)) == (8, 2, 3)
    assert {example.id for example in corpus.eval} == {f"test/line-{n}" for n in (1, 2, 3)}
    chosen = load_corpus(source(tmp_path, evaluate_on="validation"))
    assert len(chosen.train) == 8 and list(chosen.eval) == list(corpus.validation) and not chosen.validation


def test_without_test_files_the_validation_files_are_held_out(tmp_path: Path) -> None:
    write_aligned(tmp_path / "train", ROWS[:8])
    write_aligned(tmp_path / "valid", ROWS[8:])
    assert {example.id.split("/")[0] for example in load_corpus(source(tmp_path)).eval} == {"valid"}


def test_a_second_file_to_evaluate_on(tmp_path: Path) -> None:
    train, test = write_jsonl(tmp_path / "a.jsonl", ROWS[:8]), write_csv(tmp_path / "b.csv", ROWS[8:])
    corpus = load_corpus(source(train, eval_path=str(test)))
    assert (len(corpus.train), len(corpus.eval)) == (8, 4)


def test_stories_of_one_prompt_stay_together(tmp_path: Path) -> None:
    rows = [{"prompt": f"[ {tag} ] Tale {n}", "story": f"{tag} {n}"} for n in range(10) for tag in ("WP", "EU")]
    corpus = load_corpus(source(write_jsonl(tmp_path / "d.jsonl", rows)))
    assert not {example.cluster for example in corpus.train} & {example.cluster for example in corpus.eval}
    assert len({example.cluster for example in everything(corpus).values()}) == 10


CONDITIONED = [
    row | {"Characters": ["Ann", "Bö"] if n else "Ann", "setting": f"Rome\n{n}" if n % 2 else None, "moral": "None."}
    for n, row in enumerate(ROWS)
]


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        (None, "Characters: Ann, Bö\nSetting: Rome 1\n[WP] Tale 1 begins."),
        (["tag"], "[WP] Tale 1 begins."),
        ([], "Tale 1 begins."),
        (["moral", "characters"], "Moral: None.\nCharacters: Ann, Bö\nTale 1 begins."),
    ],
)
def test_conditions_stand_before_the_prompt(tmp_path: Path, conditions: list[str] | None, expected: str) -> None:
    rows = [CONDITIONED[1], *CONDITIONED[3:]]
    found = everything(load_corpus(source(write_jsonl(tmp_path / "d.jsonl", rows), conditions=conditions)))
    assert asked(found["line-1"]) == expected


def test_an_empty_condition_is_left_out(tmp_path: Path) -> None:
    found = everything(load_corpus(source(write_jsonl(tmp_path / "d.jsonl", CONDITIONED))))
    assert asked(found["line-1"]) == "Characters: Ann\n[WP] Tale 0 begins."


def test_columns_are_guessed_and_told_or_named(tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "d.jsonl", [{"Title": f"T{n}", "text": f"Text {n}.", "other": "O"} for n in range(9)])
    corpus = load_corpus(source(path))
    assert '"Title" is read as the prompt, "text" as the story' in corpus.notes[0]
    other = everything(load_corpus(source(path, prompt_column="OTHER", eval_path=str(path))))
    assert asked(other["train/line-1"]) == "O"
    for changes, message in (
        ({"story_column": "txt"}, "dataset.story_column=txt is no column. Did you mean text.*Title, text, other"),
        ({"conditions": ["characters"]}, "dataset.conditions=characters is no column"),
    ):
        with pytest.raises(ConfigError, match=message):
            load_corpus(source(path, **changes))
    with pytest.raises(ConfigError, match="No column is called prompt or wp: set dataset.prompt_column"):
        load_corpus(source(write_jsonl(tmp_path / "e.jsonl", [{"a": "b", "story": "c"}])))


@pytest.mark.parametrize(("wanted", "undone"), [(None, True), (True, True), (False, False)])
def test_tokenization_is_undone_where_it_shows_or_as_the_key_says(
    tmp_path: Path, wanted: bool | None, undone: bool
) -> None:
    rows = [*ROWS, {"prompt": "Où ?", "story": "« Quoi ? » dit-il ."}]
    found = everything(load_corpus(source(write_jsonl(tmp_path / "d.jsonl", rows), detokenize=wanted)))
    assert found["line-1"].completion == (STORY.format(0) if undone else ROWS[0]["story"])
    assert found["line-13"].completion == ("« Quoi? » dit-il." if wanted else "« Quoi ? » dit-il .")


def test_a_card_is_the_system_message(tmp_path: Path) -> None:
    example = load_corpus(source(write_jsonl(tmp_path / "d.jsonl", ROWS), card="Tell a story.")).train[0]
    assert [message.role for message in example.prompt] == ["system", "user"]


def test_what_is_empty_is_counted(tmp_path: Path) -> None:
    rows = [
        *ROWS,
        {"prompt": "[ WP ]", "story": "x"},
        {"prompt": "x", "story": " <newline> "},
        {"prompt": "x", "story": None},
    ]
    path = write_jsonl(tmp_path / "d.jsonl", rows)
    path.write_text(path.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    corpus = load_corpus(source(path))
    assert dict(corpus.dropped) == {"empty prompt": 1, "empty story": 2, "blank line": 1}
    assert len(everything(corpus)) == 12


def test_lines_are_aligned_by_line_breaks_alone(tmp_path: Path) -> None:
    rows = [{"prompt": f"P{n} \u2028 \x85 \x0b é", "story": f"S{n} \u2029 ü"} for n in range(9)]
    path = write_aligned(tmp_path / "d.wp_source", rows)
    for suffix in (".wp_source", ".wp_target"):
        file = path.with_suffix(suffix)
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n") + b"\r\n")
    corpus = load_corpus(source(path))
    assert len(everything(corpus)) == 9 and dict(corpus.dropped) == {"blank line": 1}
    assert asked(everything(corpus)["line-1"]).startswith("P0")


def test_broken_files_are_told_with_their_line(tmp_path: Path) -> None:
    path = write_aligned(tmp_path / "d.wp_source", ROWS)
    target = path.with_suffix(".wp_target")
    lines = target.read_bytes().splitlines(keepends=True)
    target.write_bytes(b"".join(lines[:-2]))
    with pytest.raises(DataError, match=r"d.wp_target ends before line 11, which .*d.wp_source has"):
        load_corpus(source(path))
    target.write_bytes(b"".join([*lines[:4], b"\xff\n", *lines[5:]]))
    with pytest.raises(DataError, match=r"d.wp_target, line 5: byte 1 isn't UTF-8"):
        load_corpus(source(path))
    target.unlink()
    with pytest.raises(DataError, match=r"d.wp_target doesn't exist"):
        load_corpus(source(path))
    rows = [*ROWS, {"prompt": 3, "story": "x"}, {"story": "x"}, {"prompt": "\ud83d", "story": "x"}]
    (tmp_path / "e.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "{", encoding="utf-8")
    with pytest.raises(DataError, match='(?s)4 lines are not valid.*line 13: "prompt" must be a text.*line 15: half'):
        load_corpus(source(tmp_path / "e.jsonl"))
    write_aligned(tmp_path / "other", ROWS)
    with pytest.raises(DataError, match="none of them is train.wp_source"):
        (tmp_path / "d.wp_source").rename(tmp_path / "valid.wp_source")
        load_corpus(source(tmp_path))


def test_without_a_path_scenes_of_the_plays_stand_in(own_cache: Path) -> None:
    corpus = load_corpus(source(None))
    assert "stand in" in corpus.notes[0] and len(corpus.train) > 500
    files = list((own_cache / "stand_ins").iterdir())
    assert len(files) == 1 and files[0].suffix == ".jsonl"
    example = next(example for example in everything(corpus).values() if "platform before the castle" in asked(example))
    assert asked(example).startswith("Characters: ") and 'Francisco said, "Nay, answer me' in example.completion


def prepared(path: Path, tokenizer: Any, length: int = 200) -> Any:
    config = RunConfig(peft=Untuned(), dataset=source(path, too_long="cut"), train=TrainConfig(max_length=length))
    return prepare(config, tokenizer, "t")


def test_prepared_rows_are_those_of_examples_in_memory(tmp_path: Path, make_tokenizer: Callable[..., Any]) -> None:
    path = tmp_path / "d.jsonl"
    write_stories(path, 600, words=20)
    tokenizer = make_tokenizer("chatml")
    data, corpus = prepared(path, tokenizer), load_corpus(source(path, too_long="cut"))
    renderer = Renderer(tokenizer)
    for rows, examples in ((data.train, corpus.train), (data.eval, corpus.eval)):
        whole = renderer.render(list(examples))
        assert [RenderedExample(**row) for row in rows] == [
            example if len(example.input_ids) <= 200 else renderer.cut(example, 200) for example in whole
        ]
    assert data.cut and len(list(stories(600))) == len(data.train) + len(data.eval)


@pytest.mark.slow
@pytest.mark.long
def test_memory_is_flat_however_many_stories_there_are(tmp_path: Path) -> None:
    peaks = []
    for count in (1000, 10000):
        path = tmp_path / f"{count}.jsonl"
        write_stories(path, count, words=150)
        first, again = (in_a_process(path, tmp_path / f"cache-{count}") for _ in range(2))
        assert first["stories"] == again["stories"] == count
        assert again["peak_rss_bytes"] < first["peak_rss_bytes"] and again["cpu_seconds"] < 5
        peaks.append(first["peak_rss_bytes"])
    assert peaks[1] < 1.1 * peaks[0]


@pytest.mark.parametrize("changes", [{"persona": "Hamlet"}, {"eval_path": "x.csv"}])
def test_keys_that_make_no_sense_are_told(changes: dict[str, Any]) -> None:
    config = RunConfig(peft=Untuned(), dataset=source(None, **changes), train=TrainConfig(max_length=99))
    assert [line for line in config.dataset.check(config) if next(iter(changes)) in line]
