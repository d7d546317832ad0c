"""Rows of which one lacks an item are compared on what all have; one that lacks most of them isn't."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.read.comparable import comparable
from analysis.read.selection import read_all
from analysis.statistics.aggregates import Sums, aggregate, sums_by_cluster
from analysis.statistics.common import common
from analysis.statistics.measured import measured_together
from analysis.tables import base_vs_instruct, leaderboard
from tests.analysis.simulated import NLL
from tests.analysis.synthetic_runs import config, write

SCENES = 10
COMMON = np.random.default_rng(3).normal(3, 0.4, (SCENES, 3))
INSTRUCT = {"model__name": "m_it", "model__instruct": True, "model__counterpart": "m"}


def sums(names: range) -> Sums:
    lines = [
        {"id": f"{n}", "cluster": f"{n % 7}", "completion_nll": 1.0 + n, "completion_tokens": 2, "completion_bytes": 8}
        for n in names
    ]
    return sums_by_cluster(lines, NLL)


def test_what_all_have_is_common_and_a_row_that_would_take_most_of_it_is_left_out() -> None:
    full, lacking, small = sums(range(100)), sums(range(1, 100)), sums(range(30))
    assert common([[full], [full, full]]).names is None
    found = common([[full], [lacking], [small]])
    assert found.sharing == [True, True, False] and found.names == lacking.names
    assert common([[small], [small], [full]]).sharing == [True, True, False], "the fewer rows go"
    assert common([[sums(range(100)), sums(range(10, 100))], [full]]).names == frozenset(map(str, range(10, 100)))


def test_sums_of_some_items_are_those_of_these_items_alone() -> None:
    full = sums(range(20))
    part, same = full.only(frozenset(map(str, range(5, 20)))), sums(range(5, 20))
    assert part.ids == same.ids and part.items == 15 and np.array_equal(part.sums, same.sums)
    assert full.only(full.names) is full


def add(root: Path, run_id: str, shift: float, drop: tuple[int, ...] = (), **change: object) -> None:
    """Write a run, of which the items with these numbers weren't evaluated."""
    nll = COMMON + shift + np.random.default_rng(int(run_id, 16)).normal(0, 0.02, COMMON.shape)
    folder = write(root, run_id, config(**change), nll.tolist())
    path = folder / "evaluations" / "e.samples.jsonl"
    lines = [line for n, line in enumerate(path.read_text().splitlines()) if n not in drop]
    path.write_text("\n".join(lines) + "\n")
    kept = [json.loads(line) for line in lines]
    record = json.loads((folder / "evaluations" / "e.json").read_text())
    for name in ("completion_nll", "completion_ppl", "bits_per_byte", "rougeL"):
        of = aggregate(_measure(record, name))
        record["metrics"][name] = float(of.value(sums_by_cluster(kept, of).sums.sum(axis=0)))
    record["data"]["eval_examples"] = len(kept)
    (folder / "evaluations" / "e.json").write_text(json.dumps(record))


def _measure(record: dict, name: str):  # type: ignore[no-untyped-def, type-arg]
    from analysis.read.measures import described

    return described(name, record["descriptions"][name])


def test_an_item_that_one_row_lacks_keeps_none_from_being_tested(tmp_path: Path) -> None:
    add(tmp_path, "1", 0.0, drop=(4,), peft__r=4)  # the leader is the one that lacks it
    add(tmp_path, "2", 0.5, peft__r=8)
    add(tmp_path, "3", 0.8, peft__r=16)
    table = leaderboard.build(read_all(tmp_path))
    assert [row["rank"] for row in table.raw] == ["1", "2", "3"]
    assert "the 29 of 30 in common" in " ".join(table.sections[0].notes)


def test_a_row_with_too_few_items_is_not_tested_and_the_others_are(tmp_path: Path) -> None:
    add(tmp_path, "1", 0.0, peft__r=4)
    add(tmp_path, "2", 0.5, peft__r=8)
    add(tmp_path, "3", 0.8, drop=tuple(range(20)), peft__r=16)
    table = leaderboard.build(read_all(tmp_path))
    by_r = {row["setting"]: row["rank"] for row in table.raw}
    assert by_r == {"LoRA r=4 α=16": "1–2", "LoRA r=8 α=16": "2–3", "LoRA r=16 α=16": "1–3"}
    assert "Not tested: 1 row with too few items in common" in " ".join(table.sections[0].notes)


def test_a_base_and_its_counterpart_with_one_item_fewer_are_a_pair(tmp_path: Path) -> None:
    add(tmp_path, "1", 0.0)
    add(tmp_path, "2", -0.3, drop=(7,), **INSTRUCT)
    table = base_vs_instruct.build(read_all(tmp_path))
    row = next(row for row in table.raw if row["metric"] == "bits_per_byte")
    assert row["instruct_base_p_holm"] < 0.05
    assert "the 29 of 30 in common" in " ".join(table.sections[0].notes)


def test_where_a_row_has_fewer_items_all_values_are_of_the_common_ones(tmp_path: Path) -> None:
    add(tmp_path / "lacking", "1", 0.0, drop=(7,))
    add(tmp_path / "lacking", "2", -0.3, **INSTRUCT)
    add(tmp_path / "both", "1", 0.0, drop=(7,))
    add(tmp_path / "both", "2", -0.3, drop=(7,), **INSTRUCT)
    of_lacking, of_both = (base_vs_instruct.build(read_all(tmp_path / name)) for name in ("lacking", "both"))
    assert [section.rows for section in of_lacking.sections] == [section.rows for section in of_both.sections]
    for row, other in zip(of_lacking.raw, of_both.raw, strict=True):
        assert row["instruct_value"] == pytest.approx(other["instruct_value"], rel=1e-12)
        assert row["instruct_value"] - row["base_value"] == pytest.approx(row["instruct_base_difference"], rel=1e-9)
    assert "all numbers here are of the 29 of 30 in common" in " ".join(of_lacking.sections[-1].notes)
    assert "in common" not in " ".join(of_both.sections[-1].notes)


def test_the_difference_is_that_of_the_common_items_alone(tmp_path: Path) -> None:
    add(tmp_path / "lacking", "1", 0.0, drop=(7,))
    add(tmp_path / "lacking", "2", 0.4, peft__r=4)
    add(tmp_path / "both", "1", 0.0, drop=(7,))
    add(tmp_path / "both", "2", 0.4, drop=(7,), peft__r=4)
    found = []
    for folder in ("lacking", "both"):
        group = comparable(read_all(tmp_path / folder).results)[0]
        measure = group.measures["metrics.bits_per_byte"]
        found.append([row[measure.name] for row in measured_together(group.settings, [measure])])
    for lacking, both in zip(*found, strict=True):
        assert lacking.shared is not None and both.shared is not None
        assert lacking.shared.value == pytest.approx(both.shared.value, rel=1e-12)
        assert lacking.shared.variance == pytest.approx(both.shared.variance, rel=1e-12)
    assert found[0][1].estimate.items == 30
