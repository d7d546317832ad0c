"""Spooled examples: the same as in memory, in the same parts, with the same fingerprints, read once."""

from __future__ import annotations

import hashlib
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from persona_sweeps.data import load_corpus
from persona_sweeps.data.clusters import Name, shuffled
from persona_sweeps.data.example import Corpus, Example, Message, content_line, example_of
from persona_sweeps.data.source import Reading, Source
from persona_sweeps.data.spool import Records, RecordWriter, Spooled
from persona_sweeps.errors import DataError

READ: list[str] = []
"""the paths of which `Lines` has read lines"""


@dataclass
class Lines(Source):
    """A line is an example; its first word is the cluster. An empty line is dropped, and `!` is an error."""

    path: str = ""
    given: bool = False

    def files(self) -> list[Path]:
        return [Path(self.path)] if self.path else []

    def read(self) -> Reading:
        READ.append(self.path)
        dropped: dict[str, int] = {}
        held_out = self._examples("test", dropped) if self.given else None
        return Reading(self._examples("", dropped), "bytes", held_out, dropped=dropped, notes=("told",), hint="Hm.")

    def _examples(self, prefix: str, dropped: dict[str, int]) -> Iterator[Example]:
        for number, line in enumerate(Path(self.path).read_text(encoding="utf-8").splitlines()):
            if line == "!":
                raise DataError(f"line {number} is bad")
            if not line:
                dropped["empty"] = dropped.get("empty", 0) + 1
                continue
            prompt = line if number % 2 else (Message("system", "Wé."), Message("user", line))
            cluster = f"{prefix}{line.split()[0]}"
            dialogue = cluster if number % 3 else None
            persona = ("Ann", "Bö", None)[number % 3]
            yield Example(f"{prefix}line-{number}", prompt, f"{line}\n", cluster, persona, {"n": [number]}, dialogue)


@dataclass
class Streamed(Lines):
    """The same lines, not held in memory."""

    streams: ClassVar[bool] = True


def write(path: Path, count: int = 60) -> Path:
    lines = [f"c{random.Random(n).randrange(12)} wörd \u2028 {n}" for n in range(count)]
    path.write_text("\n".join([*lines, "", ""]) + "\n", encoding="utf-8")
    return path


def both(path: Path, monitored: bool = False, **changes: object) -> tuple[Corpus, Corpus]:
    kinds = [Lines(source="lines", path=str(path), **changes), Streamed(source="lines", path=str(path), **changes)]  # type: ignore[arg-type]
    return kinds[0].load(monitored), kinds[1].load(monitored)


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(
    "changes",
    [{}, {"limit": 7, "eval_limit": 3}, {"eval_per_cluster": 1}, {"split_seed": 3, "evaluate_on": "validation"}],
)
def test_spooled_examples_are_those_in_memory(tmp_path: Path, own_cache: Path, given: bool, changes: dict) -> None:
    memory, spool = both(write(tmp_path / "lines"), monitored=True, given=given, **changes)
    for part in ("train", "eval", "validation"):
        examples = getattr(spool, part)
        assert isinstance(examples, Spooled) and list(examples) == list(getattr(memory, part))
        assert list(examples[1:3]) == list(examples)[1:3]
    assert spool.train_fingerprint == memory.train_fingerprint and spool.eval_fingerprint == memory.eval_fingerprint
    assert (spool.fingerprint, spool.dropped, spool.notes) == (memory.fingerprint, memory.dropped, memory.notes)


def test_files_are_read_once_for_each_version(tmp_path: Path, own_cache: Path) -> None:
    path = write(tmp_path / "lines")
    READ.clear()
    first = load_corpus(Streamed(source="lines", path=str(path)))
    for changes in ({"limit": 3}, {"split_seed": 5}, {"eval_limit": 2}, {"loss_on": "all_tokens"}):
        load_corpus(Streamed(source="lines", path=str(path), **changes))  # type: ignore[arg-type]
    assert len(READ) == 1
    write(path, 61)
    assert len(load_corpus(Streamed(source="lines", path=str(path))).train) != len(first.train)
    assert len(READ) == 2
    load_corpus(Streamed(source="lines", path=str(path), given=True))
    assert len(READ) == 3, "a key that decides what is read"


@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_a_damaged_spool_is_made_again(tmp_path: Path, own_cache: Path, damage: str) -> None:
    source = Streamed(source="lines", path=str(write(tmp_path / "lines")))
    whole = list(source.load().train)
    file = next(own_cache.rglob("examples"))
    content = file.read_bytes()
    file.unlink()
    if damage == "cut":
        file.write_bytes(content[:-5])
    assert list(source.load().train) == whole


def test_an_error_on_the_way_leaves_nothing_behind(tmp_path: Path, own_cache: Path) -> None:
    (tmp_path / "lines").write_text("a 1\nb 2\n!\n")
    with pytest.raises(DataError, match="line 2 is bad"):
        Streamed(source="lines", path=str(tmp_path / "lines"), min_examples=1).load()
    assert not [path for path in own_cache.rglob("*") if path.is_file()]


names = st.lists(st.tuples(st.sampled_from("abcdefg"), st.text("ab019-", max_size=4)), max_size=40)


@given(names, st.integers(0, 3))
def test_clusters_come_in_the_order_of_their_hashes_and_examples_in_that_of_their_numbers(
    pairs: list[tuple[str, str]], seed: int
) -> None:
    def natural(text: str) -> tuple:
        return [(int(p) if i % 2 else 0, p) for i, p in enumerate(re.split(r"([0-9]+)", text))], text

    groups: dict[str, list[int]] = {}
    for index, (cluster, _) in enumerate(pairs):
        groups.setdefault(cluster, []).append(index)
    order = sorted(groups, key=lambda name: (hashlib.sha256(f"{seed}\0{name}".encode()).digest(), name))
    expected = [index for name in order for index in sorted(groups[name], key=lambda i: natural(pairs[i][1]))]
    found = shuffled([Name(*pair, None) for pair in pairs], seed)
    assert list(found.indices) == expected and list(found.sizes) == [len(groups[name]) for name in order]


@given(st.lists(st.binary(max_size=20), max_size=20))
def test_records_come_back_one_by_one_and_in_a_row(
    tmp_path_factory: pytest.TempPathFactory, items: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("records") / "r"
    writer = RecordWriter(path)
    for item in items:
        writer.add(item)
    writer.close()
    records = Records(path)
    assert [records[index] for index in range(len(records))] == items == list(records)


@pytest.mark.parametrize("dialogue", [None, "d"])
@pytest.mark.parametrize("prompt", ["plain", "", (Message("user", "hö\n"),)])
def test_an_example_comes_back_from_its_line(prompt: str | tuple, dialogue: str | None) -> None:
    example = Example("a", prompt, "c\u2028", "k", "P", {"x": 1}, dialogue)
    line = content_line(example)
    assert line.count(b"\n") == 1 and example_of(line, {"x": 1}) == example


def test_many_keys_are_sorted_like_few(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = [Name(f"c{n % 700}", f"e{n}", None) for n in range(2000)]
    few = shuffled(pairs, 1)
    monkeypatch.setattr("persona_sweeps.data.clusters.MANY", 1)
    assert shuffled(pairs, 1) == few
