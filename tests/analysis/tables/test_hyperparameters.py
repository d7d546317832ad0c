"""The table of hyperparameters as a user gets it: `python -m analysis` on sweeps of studies."""

from __future__ import annotations

import csv
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analysis.__main__ import main


@pytest.fixture
def report(outputs: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Make the table and return it as it is printed."""

    def made(*arguments: str) -> str:
        assert main(["hyperparameters", *arguments, "--output-dir", str(outputs.root)]) == 0
        return capsys.readouterr().out

    return made


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("analysis.figures.can_draw", lambda: False)


def sections(text: str) -> dict[str, list[dict[str, str]]]:
    """Return the rows of each section's table, by heading, by the section's title."""
    found: dict[str, list[dict[str, str]]] = {}
    title, headings = "", []
    for line in text.splitlines():
        if line.startswith("## "):
            title, headings = line[3:], []
        elif line.startswith("|"):
            cells = [part.strip() for part in line.replace("\\|", "\0").strip("|").split("|")]
            if not headings:
                headings = cells
                found[title] = []
            elif not set("".join(cells)) <= {"-", ":"}:
                found[title].append(dict(zip(headings, cells, strict=True)))
    return found


def comparisons(text: str) -> list[list[dict[str, str]]]:
    return [rows for rows in sections(text).values() if rows and "trials to target" in rows[0]]


def study(outputs: Any, name: str, values: list[float], first: int = 0, **more: Any) -> list[dict[str, Any]]:
    return [
        outputs.trial(name, first + n, value, {"peft.r": (4, 8)[n % 2], "train.learning_rate": 1e-4 * (n + 1)}, **more)
        for n, value in enumerate(values)
    ]


pytestmark = pytest.mark.usefixtures("without_figures")


def test_a_row_has_what_a_study_found_expects_and_cost(outputs: Any, report: Callable) -> None:
    cells = study(outputs, "peft=lora", [4.0, 2.0, 3.0, 5.0], tokens=25_000)
    cells += [outputs.trial("peft=lora", 4, None, {}, "pruned", tokens=20_000)]
    cells += [outputs.trial("peft=lora", 5, None, {}, "failed", tokens=None)]
    outputs.study_sweep("s", {"peft=lora": {"pruner": "halving"}}, cells)
    text = report("--sweep", "s")
    ((row,),) = comparisons(text)
    assert row == {
        "study": "peft=lora",
        "model": "smollm2_135m_instruct",
        "method": "lora",
        "trials": "4 / 1 / 1",
        "tokens": "120.0 k",
        "best": "2.000",
        "setting of the best": "r=8 learning_rate=2.0e-04",
        "best of 1": "3.500",
        "best of 2": "2.667",
        "best of 4": "2.000",
        "trials to target": "2.5",
        "tokens to target": "75.0 k",
        "trials it took": "2",
        "tokens it took": "50.0 k",
    }
    assert "shakespeare, HAMLET (validation) · NLL (comparability key aaaaaaaaaa)" in text
    assert "its pruner (halving) ends the worse runs early" in text and "its sampler" not in text
    assert "1 trial failed; the first, trial 5, failed: TrialError: loss is NaN." in text
    assert "the tokens of 1 trial aren't known" in text


def test_the_target_is_one_that_every_study_reaches(outputs: Any, report: Callable) -> None:
    cells = study(outputs, "a", [3.0, 1.0, 2.5]) + study(outputs, "b", [2.0, 4.0, 5.0, 6.0, 7.0])
    outputs.study_sweep("s", {"b": {}, "a": {}}, cells)
    text = report("--sweep", "s")
    (rows,) = comparisons(text)
    assert [row["study"] for row in rows] == ["a", "b"]
    assert "The target is 2.000, the worst of the bests (that of b), so that every study reaches it." in text
    assert [(row["trials to target"], row["trials it took"]) for row in rows] == [("2.0", "2"), ("3.0", "1")]
    assert list(rows[0])[7:9] == ["best of 1", "best of 2"] and "best of 4" not in rows[0]


def test_more_can_be_better(outputs: Any, report: Callable) -> None:
    cells = [outputs.trial("a", n, {"rougeL": value}) for n, value in enumerate((0.1, 0.3, 0.2))]
    outputs.study_sweep("s", {"a": {"metric": ["rougeL"], "direction": ["maximize"]}}, cells)
    ((row,),) = comparisons(report())
    assert (row["best"], row["best of 1"], row["best of 2"]) == ("0.300", "0.200", "0.267")


def test_studies_under_different_keys_metrics_or_models_are_not_compared(outputs: Any, report: Callable) -> None:
    cells = study(outputs, "a", [1.0, 2.0]) + study(outputs, "b", [3.0], comparability_key="b" * 12)
    cells += [outputs.trial("c", 0, {"rougeL": 0.5})]
    cells += [outputs.trial("d", 0, 2.0, {"model.name": "gpt2"}), outputs.trial("e", 0, 9.0, {"peft.r": 2})]
    outputs.study_sweep("s", {"a": {}, "b": {}, "c": {"metric": "rougeL"}, "d": {}, "e": {}}, cells)
    groups = [[row["study"] for row in rows] for rows in comparisons(report())]
    assert groups == [["a", "e"], ["b"], ["c"], ["d"]]


def test_a_study_under_two_keys_stands_with_most_of_its_trials_and_says_so(outputs: Any, report: Callable) -> None:
    cells = study(outputs, "a", [0.5], comparability_key="b" * 12) + study(outputs, "a", [2.0, 3.0], first=1)
    outputs.study_sweep("s", {"a": {}}, cells)
    text = report()
    ((row,),) = comparisons(text)
    assert row["best"] == "2.000" and "a: 1 trial completed under another comparability key" in text


def test_bands_are_given_from_eight_trials_up_to_half_of_them(outputs: Any, report: Callable) -> None:
    cells = study(outputs, "a", [1.0, 1.1, 1.3, 1.6, 1.2, 1.9, 1.5, 1.4]) + study(
        outputs, "b", [1.0 + n for n in range(7)]
    )
    outputs.study_sweep("s", {"a": {}, "b": {}}, cells)
    (rows,) = comparisons(report())
    a, b = rows
    assert all("[" in a[f"best of {k}"] for k in (1, 2, 4)) and "best of 8" not in a
    assert not any("[" in text for text in b.values())


def test_a_study_without_completed_trials_is_told(outputs: Any, report: Callable) -> None:
    cells = [outputs.trial("a", 0, None, {}, "failed"), outputs.trial("a", 1, None, {}, "running")]
    outputs.study_sweep("s", {"a": {}, "empty": {}}, cells)
    text = report()
    assert comparisons(text) == []
    assert "a stands in no table: its trials are 0 / 0 / 1 completed / pruned / failed." in text
    assert "empty stands in no table" in text and "TrialError: loss is NaN" in text


def test_trials_that_run_still_or_left_no_record_are_told(outputs: Any, report: Callable) -> None:
    cells = study(outputs, "a", [1.0, 2.0])
    cells += [outputs.trial("a", 2, None, {}, "running")]
    cells += [{"study": "a", "trial": 3, "run_id": "beef", "state": "completed", "overrides": ["peft.r=3"]}]
    outputs.study_sweep("s", {"a": {}}, cells)
    text = report("--sweep", "s")
    ((row,),) = comparisons(text)
    assert row["trials"] == "2 / 0 / 0"
    assert "a: 1 trial still running" in text and "a: 1 trial without a value." in text
    assert "no run record for peft.r=3 (run beef, completed)" in text
    assert "study 'a': 1 cell of completed trials without a run record" in text


def test_slices_have_a_row_a_value_and_thirds_of_a_range(outputs: Any, report: Callable) -> None:
    rates, ranks = (1.5e-4, 4e-4, 5e-4, 2e-3, 3e-3, 1e-2), (4, 4, 4, 8, 8, 8)
    found = [5.0, 1.0, 3.0, 2.0, 9.0, 4.0]
    cells = [
        outputs.trial("a", n, value, {"peft.r": r, "train.learning_rate": rate})
        for n, (value, r, rate) in enumerate(zip(found, ranks, rates, strict=True))
    ]
    cells += [outputs.trial("a", 6, None, {"peft.r": 16, "train.learning_rate": 1e-4}, "pruned")]
    outputs.study_sweep("s", {"a": {}}, cells)
    rows = sections(report())["Slices of NLL: a"]
    assert [tuple(row.values()) for row in rows] == [
        ("peft.r", "4", "3", "0", "0", "1.000", "3.000"),
        ("peft.r", "8", "3", "0", "0", "2.000", "4.000"),
        ("peft.r", "16", "0", "1", "0", "–", "–"),
        ("train.learning_rate", "1.0e-04 to 4.6e-04", "2", "1", "0", "1.000", "3.000"),
        ("train.learning_rate", "4.6e-04 to 2.2e-03", "2", "0", "0", "2.000", "2.500"),
        ("train.learning_rate", "2.2e-03 to 0.01", "2", "0", "0", "4.000", "6.500"),
    ]


def test_slices_count_every_completed_trial_once(outputs: Any, report: Callable) -> None:
    space = {
        "few": {"name": "IntDistribution", "attributes": {"low": 1, "high": 3, "step": 1, "log": False}},
        "many": {"name": "IntDistribution", "attributes": {"low": 1, "high": 900, "step": 1, "log": True}},
        "ratio": {"name": "FloatDistribution", "attributes": {"low": 0.0, "high": 1.0, "step": None, "log": False}},
        "any": {"name": "CategoricalDistribution", "attributes": {"choices": [None, "x|y", 0.5, True]}},
    }
    rng = np.random.default_rng(1)
    cells = []
    for n in range(20):
        cell = outputs.trial("a", n, float(rng.normal()))
        chosen = {"few": int(rng.integers(1, 4)), "many": int(rng.integers(1, 901)), "ratio": float(rng.uniform())}
        cells.append(cell | {"params": chosen | {"any": [None, "x|y", 0.5, True][n % 4]}})
    outputs.study_sweep("s", {"a": {"space": space}}, cells)
    text = report()
    rows = sections(text)["Slices of NLL: a"]
    for key, parts in (("few", 3), ("many", 3), ("ratio", 3), ("any", 4)):
        of_key = [row for row in rows if row["parameter"] == key]
        assert len(of_key) == parts and sum(int(row["completed"]) for row in of_key) == 20
    assert [row["value"] for row in rows if row["parameter"] == "any"] == ["null", "x\0y", "0.5", "True"]
    assert sections(text)["Importance of parameters: a"]


def test_winners_have_their_test_scores_over_seeds(outputs: Any, report: Callable) -> None:
    cells = study(outputs, "a", [3.0, 2.0])
    for seed, nll in ((1, 2.4), (2, 2.5), (3, 2.6)):
        change = {"seed": seed, "dataset.evaluate_on": "test"}
        metrics = {"completion_nll": nll, "bleu": 0.1}
        cells.append(outputs.trial("a", 1, metrics, change, comparability_key="t" * 12) | {"final": True, "seed": seed})
    cells.append(outputs.trial("a", 1, None, state="failed") | {"final": True, "seed": 4})
    outputs.study_sweep("s", {"a": {}}, cells)
    text = report("--sweep", "s")
    (row,) = sections(text)["Winners trained anew: shakespeare, HAMLET (comparability key tttttttttt)"]
    assert (row["trial"], row["setting"], row["seeds"]) == ("1", "r=8 learning_rate=2.0e-04", "1, 2, 3 (n=3)")
    sd = statistics.stdev([2.4, 2.5, 2.6])
    assert row["NLL"] == f"2.500 ± {sd:.3f}" and row["BLEU"] == "0.100 ± 0.000"
    assert "1 of 4 final runs have no scores: trial 1 seed 4 failed" in text
    ((found,),) = comparisons(text)
    assert found["trials"] == "2 / 0 / 0" and found["tokens"] == "2.0 k"


def test_several_metrics_have_a_best_each_and_no_curve(outputs: Any, report: Callable) -> None:
    cells = [
        outputs.trial("a", n, {"completion_nll": nll, "bleu": bleu}, {"peft.r": r})
        for n, (nll, bleu, r) in enumerate([(2.0, 0.1, 4), (3.0, 0.4, 8)])
    ]
    outputs.study_sweep(
        "s", {"a": {"metric": ["completion_nll", "bleu"], "direction": ["minimize", "maximize"]}}, cells
    )
    text = report()
    ((row,), *within) = sections(text).values()
    assert len(within) == 2, "slices by each metric"
    assert (row["best NLL"], row["best BLEU"]) == ("2.000", "0.400") and row["setting"] == "r=8"
    assert "no one order ranks their trials" in text and comparisons(text) == []


def test_what_mattered_is_given_by_each_of_several_metrics(outputs: Any, report: Callable) -> None:
    """The rate decides the one metric, the rank also the other; studies of one metric say the same."""
    random = np.random.default_rng(0)
    drawn = list(zip(random.uniform(1e-4, 1e-2, 24).tolist(), random.permutation([4, 8] * 12).tolist(), strict=True))
    measured = [{"completion_nll": 2 + rate, "bleu": r / 100 + rate} for rate, r in drawn]
    params = [{"train.learning_rate": rate, "peft.r": r} for rate, r in drawn]
    studies = {
        "both": {"metric": ["completion_nll", "bleu"], "direction": ["minimize", "maximize"]},
        "NLL": {},
        "BLEU": {"metric": ["bleu"], "direction": ["maximize"]},
    }
    cells = [
        outputs.trial(name, n, *trial) for name in studies for n, trial in enumerate(zip(measured, params, strict=True))
    ]
    outputs.study_sweep("s", studies, cells)
    found = sections(report())
    for metric in ("NLL", "BLEU"):
        assert found[f"Importance of parameters: both, by {metric}"] == found[f"Importance of parameters: {metric}"]
        assert found[f"Slices of {metric}: both"] == found[f"Slices of {metric}: {metric}"]
    first, second = (found[f"Importance of parameters: both, by {metric}"] for metric in ("NLL", "BLEU"))
    assert first != second


def test_the_csv_has_every_trial_in_full(outputs: Any, report: Callable) -> None:
    values = [1 / 3, 2 / 3]
    cells = study(outputs, "a", values) + [outputs.trial("a", 2, None, {"peft.r": 4}, "pruned", tokens=7)]
    cells.append(outputs.trial("a", 0, 0.5) | {"final": True, "seed": 9})
    outputs.study_sweep("s", {"a": {}}, cells)
    report("--sweep", "s")
    with (outputs.root / "sweeps/s/tables/hyperparameters.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["state"] for row in rows] == ["completed", "completed", "pruned", "completed"]
    assert [float(row["value_completion_nll"]) for row in rows[:2]] == values and rows[2]["value_completion_nll"] == ""
    assert [row["run_id"] for row in rows] == [cell["run_id"] for cell in cells]
    assert (rows[1]["param_peft.r"], rows[2]["tokens"], rows[0]["cpu_seconds"]) == ("8", "7", "118.0")
    assert [row["final"] for row in rows] == ["False", "False", "False", "True"] and rows[3]["seed"] == "9"


def test_names_cannot_break_the_table(outputs: Any, report: Callable) -> None:
    name = "a|b\n## c\x1b[31m [x](y)"
    cells = [outputs.trial(name, n, 1.0 + n, {"peft.r": 4}) | {"params": {"k|\n": "v|\n"}} for n in range(9)]
    space = {"k|\n": {"name": "CategoricalDistribution", "attributes": {"choices": ["v|\n", "w"]}}}
    outputs.study_sweep("s", {name: {"space": space}}, cells)
    text = report("--sweep", "s")
    ((row,),) = comparisons(text)
    assert row["study"] == "a\0b ## c[31m [x]\\(y)" and "\x1b" not in text
    assert not any(line.startswith("## c") for line in text.splitlines())


def test_studies_of_several_sweeps_are_told_apart(outputs: Any, report: Callable) -> None:
    for sweep in ("s", "t"):
        outputs.study_sweep(sweep, {"peft=lora": {}, sweep: {}}, study(outputs, "peft=lora", [1.0, 2.0]))
    (rows,) = comparisons(report())
    assert [row["study"] for row in rows] == ["s: peft=lora", "t: peft=lora"]


def test_it_is_made_where_there_are_studies_or_when_asked_for(
    outputs: Any, report: Callable, capsys: pytest.CaptureFixture[str]
) -> None:
    outputs.run()
    assert main(["--output-dir", str(outputs.root)]) == 0 and "Hyperparameters" not in capsys.readouterr().out
    assert "There is no study here: `python launch.py -m hydra/sweeper=optuna` makes one." in report()
    outputs.study_sweep("s", {"a": {}}, study(outputs, "a", [1.0]))
    assert main(["--output-dir", str(outputs.root)]) == 0 and "# Hyperparameters" in capsys.readouterr().out


def test_without_matplotlib_the_extra_is_named(outputs: Any, report: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    outputs.study_sweep("s", {"a": {}}, study(outputs, "a", [1.0]))
    assert "pip install 'persona-sweeps[plots]'" in report("--sweep", "s")
    assert sorted(path.suffix for path in (outputs.root / "sweeps/s/tables").iterdir()) == [".csv", ".md"]


@pytest.mark.long
def test_ten_times_the_trials_take_ten_times_as_long_at_most(outputs: Any, report: Callable) -> None:
    rng = np.random.default_rng(0)
    seconds = {}
    for name, sizes in {"few": (150, 50), "s": (1500, 500)}.items():
        cells = [
            cell
            for place, size in zip("ab", sizes, strict=True)
            for cell in study(outputs, place, rng.normal(3, 0.1, size).tolist())
        ]
        for cell in cells:
            cell["params"] = {"peft.r": 8, "train.learning_rate": float(10 ** rng.uniform(-4, -2))}
        outputs.study_sweep(name, {"a": {}, "b": {}}, cells)
        began = time.process_time()
        text = report("--sweep", name)
        seconds[name] = time.process_time() - began
    assert seconds["s"] < 10 * seconds["few"]
    (rows,) = comparisons(text)
    assert "best of 256" in rows[0] and "best of 512" not in rows[0]


def test_figures_are_written_beside_the_table(outputs: Any, report: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    pytest.importorskip("matplotlib")
    cells = study(outputs, "a", [1.0, 2.0, 3.0]) + study(outputs, "b", [1.0], comparability_key="b" * 12)
    outputs.study_sweep("s", {"a": {}, "b": {}}, cells)
    text = report("--sweep", "s")
    folder = outputs.root / "sweeps" / "s" / "tables"
    for name in ("hyperparameters-best-of-k-1", "hyperparameters-best-of-k-2"):
        assert f"]({name}.svg)" in text and f"Wrote {folder / name}.png" in text
        assert (folder / f"{name}.png").stat().st_size > 1000 and b"<svg" in (folder / f"{name}.svg").read_bytes()
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    report("--sweep", "s")
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
