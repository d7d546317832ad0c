"""The table of fronts as a user gets it: `python -m analysis pareto` on studies of several metrics."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analysis.__main__ import main
from analysis.read.selection import read_all
from analysis.tables import TABLES
from tests.analysis.tables.test_hyperparameters import sections

BOTH = {"metric": ["completion_nll", "bleu"], "direction": ["minimize", "maximize"]}
Report = Callable[..., str]


@pytest.fixture
def report(outputs: Any, capsys: pytest.CaptureFixture[str]) -> Report:
    """Make the table and return it as it is printed."""

    def made(*arguments: str) -> str:
        assert main(["pareto", *arguments, "--output-dir", str(outputs.root)]) == 0
        return capsys.readouterr().out

    return made


def study(outputs: Any, name: str, values: list[tuple[float, float]], **top: Any) -> list[dict[str, Any]]:
    return [
        outputs.trial(name, n, {"completion_nll": nll, "bleu": bleu}, {"peft.r": n + 1}, **top)
        for n, (nll, bleu) in enumerate(values)
    ]


def beaten(point: tuple[float, float], by: list[tuple[float, float]]) -> bool:
    return any(other != point and other[0] <= point[0] and other[1] >= point[1] for other in by)


def test_each_study_has_its_front_and_all_have_one_together(outputs: Any, report: Report) -> None:
    random = np.random.default_rng(0)
    points = {name: [(float(a), float(b)) for a, b in random.uniform(0.1, 0.9, (9, 2))] for name in "ab"}
    cells = [cell for name, values in points.items() for cell in study(outputs, name, values)]
    outputs.study_sweep("s", dict.fromkeys("ab", BOTH), cells)
    found = sections(report("--sweep", "s"))
    by_start = {title.split(":")[0]: rows for title, rows in found.items()}
    assert list(by_start) == ["a", "b", "All studies"]
    every = [*points["a"], *points["b"]]
    for name in "ab":
        front = [n for n, point in enumerate(points[name]) if not beaten(point, points[name])]
        assert [int(row["trial"]) for row in by_start[name]] == sorted(front, key=lambda n: points[name][n][0])
    joint = {(name, n) for name in "ab" for n, point in enumerate(points[name]) if not beaten(point, every)}
    assert {(row["study"], int(row["trial"])) for row in by_start["All studies"]} == joint
    with (outputs.root / "sweeps/s/tables/pareto.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 18 and {(r["study"], int(r["trial"])) for r in rows if r["on_front_of_all"] == "True"} == joint


def test_trials_without_a_value_and_repeated_runs_are_no_candidates(outputs: Any, report: Report) -> None:
    cells = study(outputs, "a", [(2.0, 0.1), (3.0, 0.4), (3.5, 0.2)])
    cells += [cells[0] | {"trial": 3}, outputs.trial("a", 4, None, {"peft.r": 9}, "failed")]
    outputs.study_sweep("s", {"a": BOTH}, cells)
    text = report()
    ((title, rows),) = sections(text).items()
    assert title.startswith("a: ") and [row["trial"] for row in rows] == ["0", "1"]
    assert "2 of 3 completed settings on the front; better is less NLL, more BLEU." in text
    assert "1 trial failed" in text


def test_studies_of_other_data_have_no_front_together(outputs: Any, report: Report) -> None:
    cells = study(outputs, "a", [(2.0, 0.1)]) + study(outputs, "b", [(3.0, 0.1)], comparability_key="b" * 12)
    outputs.study_sweep("s", dict.fromkeys("ab", BOTH), cells)
    assert [title.split(":")[0] for title in sections(report())] == ["a", "b"]


def test_studies_of_one_metric_have_none_and_the_table_is_left_out(outputs: Any, report: Report) -> None:
    outputs.study_sweep("s", {"a": {}}, [outputs.trial("a", 0, 2.0)])
    assert not TABLES["pareto"].applies(read_all(outputs.root))
    assert "There is no study of several metrics here" in report()
    outputs.study_sweep("t", {"b": BOTH}, [outputs.trial("b", 0, None, state="failed")])
    assert TABLES["pareto"].applies(read_all(outputs.root))
    assert "has no front: none of its 1 trial was completed" in report("--sweep", "t")
