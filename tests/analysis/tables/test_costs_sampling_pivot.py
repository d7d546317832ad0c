"""The tables `costs`, `sampling` and `pivot`, and the choice of runs, as a user gets them."""

from __future__ import annotations

import csv
import json
import statistics
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.__main__ import main
from analysis.read.results import read_all
from analysis.read.where import parse, restrict
from analysis.statistics.diversity import diversity
from analysis.tables import costs
from persona_sweeps.errors import UserError


@pytest.fixture
def tables(outputs: Any, capsys: pytest.CaptureFixture[str]) -> Any:
    """Run the command with --format json and return the one table."""

    def run(*arguments: str) -> Any:
        assert main([*arguments, "--format", "json", "--output-dir", str(outputs.root)]) == 0
        (table,) = json.loads(capsys.readouterr().out)["tables"]
        return table

    return run


def rows_of(section: Any) -> list[dict[str, str]]:
    headings = [column["heading"] for column in section["columns"]]
    return [dict(zip(headings, row, strict=True)) for row in section["rows"]]


def took(tokens: int, cpu: float, **more: Any) -> dict[str, Any]:
    return {"training.tokens": tokens, "resources.cpu_seconds": cpu, **more}


def test_costs_count_pruned_and_failed_runs_and_add_up(outputs: Any, tables: Any) -> None:
    outputs.run(change=took(1000, 10.0))
    outputs.run(change=took(3000, 20.0, **{"config.seed": 1}))
    outputs.run(change=took(500, 5.0, **{"config.seed": 2}), status="pruned", comparability_key=None)
    failed = outputs.run("none", None, status="failed", training={}, resources={})
    table = tables("costs")
    lora, untuned = rows_of(table["sections"][0])
    assert lora["runs"] == "2 completed, 1 pruned" and untuned["runs"] == "1 failed"
    assert lora["CPU seconds"] == "15.0 ± 7.1" and lora["tokens"] == "2,000 ± 1,414"
    assert float(lora["tokens / CPU second"]) == round(4500 / 35, 1)
    assert {untuned[name] for name in ("tokens", "CPU seconds", "wall seconds", "peak (MB)")} == {"–"}
    totals = {row["runs"]: row for row in rows_of(table["sections"][1])}
    assert totals["all"]["tokens"] == "4,500 (n=3)" and totals["failed"]["tokens"] == "–"
    assert totals["completed"]["CPU seconds"] == "30.0" and totals["all"]["count"] == "4"
    assert table["raw"][1]["run_ids"] == [failed] and table["raw"][0]["tokens_total"] == 4500


def test_costs_tell_disk_and_the_largest_peak(outputs: Any, tables: Any) -> None:
    first = outputs.run(change={"resources.peak_rss_bytes": 2_000_000} | took(1, 1))
    outputs.run(change={"resources.peak_rss_bytes": 5_000_000, "config.seed": 1} | took(1, 1))
    (outputs.folder(first) / "adapter").mkdir()
    (outputs.folder(first) / "adapter" / "x.safetensors").write_bytes(b"0" * 3_000_000)
    (row,) = tables("costs")["raw"]
    assert row["peak_bytes"] == 5_000_000
    assert row["disk_bytes"] == sum(path.stat().st_size for path in outputs.root.rglob("runs/**/*") if path.is_file())
    assert costs.disk_bytes(outputs.root / "runs" / "gone") == 0


def test_costs_of_a_study_tell_trials_from_finals(outputs: Any, tables: Any) -> None:
    cells = [outputs.trial("s", n, 2.0 + n, {"peft.r": 4 * 2**n}) for n in range(2)]
    final = outputs.trial("s", 0, 2.0, {"peft.r": 4, "seed": 7}) | {"final": True, "seed": 7}
    outputs.study_sweep("tuned", {"s": {}}, [*cells, final])
    totals = {row["runs"]: row["count"] for row in rows_of(tables("costs", "--sweep", "tuned")["sections"][1])}
    assert totals["of these, studies' trials"] == "2" and totals["of these, studies' finals"] == "1"
    assert totals["all"] == "3"


def with_samples(outputs: Any, run_id: str, predictions: list[str]) -> None:
    lines = [{"id": f"i{n}", "cluster": "s", "prediction": text} for n, text in enumerate(predictions)]
    (outputs.folder(run_id) / "samples.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


GREEDY = {"method": "greedy", "max_new_tokens": 64}
NUCLEUS = {"method": "nucleus", "max_new_tokens": 64, "temperature": 0.8, "top_p": 0.95}


def decoded(generation: dict[str, Any], key: str, rouge: float, **more: Any) -> dict[str, Any]:
    return {"config.generation": generation, "comparability_key": key, "metrics.rougeL": rouge, **more}


def test_sampling_compares_only_runs_that_share_all_else(outputs: Any, tables: Any) -> None:
    greedy = outputs.run(change=decoded(GREEDY, "k1", 0.1))
    nucleus = outputs.run(change=decoded(NUCLEUS, "k2", 0.2))
    outputs.run(change=decoded(NUCLEUS, "k2", 0.4, **{"config.seed": 1}))
    outputs.run(change=decoded(NUCLEUS, "k2", 0.9, **{"config.peft.r": 64}))
    with_samples(outputs, greedy, ["the the the", ""])
    with_samples(outputs, nucleus, ["to be or", "not to be"])
    table = tables("sampling")
    (section,) = table["sections"]
    best, worst = rows_of(section)
    assert best["generation"] == "nucleus top_p=0.95 temperature=0.8 max_new_tokens=64"
    assert best["ROUGE-L"] == "0.300 ± 0.141" and best["distinct-1"] == "0.667 (n=1)"
    assert (worst["generation"], worst["distinct-1"], worst["empty"]) == ("greedy max_new_tokens=64", "0.333", "50.0 %")
    assert any("1 settings" in note for note in table["notes"])
    assert table["raw"][1]["run_ids"] == [greedy]


def test_sampling_goes_by_the_metric_asked_for(outputs: Any, tables: Any) -> None:
    outputs.run(change=decoded(GREEDY, "k1", 0.1, **{"metrics.mine": 3.0}))
    outputs.run(change=decoded(NUCLEUS, "k2", 0.2, **{"metrics.mine": 1.0}))
    first = rows_of(tables("sampling", "--metric", "mine")["sections"][0])[0]
    assert first["generation"].startswith("greedy") and first["mine"] == "3"


def test_sampling_tells_of_other_items_and_broken_samples(outputs: Any, tables: Any) -> None:
    runs = [outputs.run(change=decoded(config, key, 0.1)) for config, key in ((GREEDY, "k1"), (NUCLEUS, "k2"))]
    with_samples(outputs, runs[0], ["a", "b"])
    with_samples(outputs, runs[1], ["a", "b", "c"])
    assert "different items" in tables("sampling")["sections"][0]["notes"][0]
    (outputs.folder(runs[1]) / "samples.jsonl").write_text("{\n")
    (note,) = tables("sampling")["sections"][0]["notes"]
    assert "samples.jsonl line 1" in note and runs[1] in note


@given(st.lists(st.text("ab ", max_size=8), min_size=1, max_size=6))
def test_distinct_agrees_with_counting_by_hand(predictions: list[str]) -> None:
    words = [word for text in predictions for word in text.split()]
    pairs = [pair for text in predictions for pair in zip(text.split(), text.split()[1:], strict=False)]
    found = diversity(predictions)
    assert found.distinct_1 == (len(set(words)) / len(words) if words else None)
    assert found.distinct_2 == (len(set(pairs)) / len(pairs) if pairs else None)
    assert found.empty == sum(not text.strip() for text in predictions) / len(predictions)


def test_a_pivot_is_mean_and_deviation_over_seeds(outputs: Any, tables: Any) -> None:
    values = {("lora", 0): 2.0, ("lora", 1): 2.5, ("lora", 2): 2.2, ("none", 0): 3.0}
    for (method, seed), value in values.items():
        outputs.run(method, change={"metrics.completion_nll": value, "config.seed": seed})
    table = tables("pivot", "--rows", "peft.method", "--columns", "model.name", "--metric", "completion_nll")
    lora, none = table["sections"][0]["rows"]
    of_lora = [value for (method, _), value in values.items() if method == "lora"]
    assert lora[1] == f"{statistics.mean(of_lora):.3f} ± {statistics.stdev(of_lora):.3f} (n=3)"
    assert none == ["none", "3.000 (n=1)"]
    assert table["raw"][0]["mean"] == pytest.approx(statistics.mean(of_lora)) and len(table["raw"][0]["run_ids"]) == 3


def test_a_pivot_never_mixes_comparability_keys_nor_tokenizers_and_tells_mixed_settings(
    outputs: Any, tables: Any
) -> None:
    outputs.run(change={"metrics.completion_nll": 1.0})
    outputs.run(change={"metrics.completion_nll": 9.0, "comparability_key": "bbbbbbbbbbbb"})
    outputs.run(change={"metrics.completion_nll": 2.0, "config.peft.r": 16})
    outputs.run("none", change={"metrics.completion_nll": 3.0})
    outputs.run("none", change={"metrics.completion_nll": 5.0, "config.model.name": "other"})
    table = tables("pivot", "--rows", "peft.method", "--metric", "completion_nll")
    one, two = table["sections"]
    assert one["rows"] == [["lora", "1.500 ± 0.707 (n=2, 2 settings)"], ["none", "–"]]
    assert two["rows"] == [["lora", "9.000 (n=1)"]]
    assert any("tokenizer" in note for note in one["notes"]) and any(
        "several settings" in note for note in one["notes"]
    )
    assert table["raw"][1]["mean"] is None


@pytest.mark.parametrize(
    ("condition", "kept"),
    [
        ("peft.method=lora", [0, 1, 2]),
        ("config.peft.method=lora", [0, 1, 2]),
        ("peft.method!=lora", [3]),
        ("peft.r>8", [1, 2]),
        ("peft.r >= 16", [1, 2]),
        ("peft.r<=8.0", [0]),
        ("peft.r=null", [3]),
        ("peft.r!=8", [1, 2, 3]),
        ("peft.target_modules=[q_proj,v_proj]", [2]),
        ("peft.target_modules~V_PROJ", [2]),
        ("metrics.completion_ppl<9.5", [1]),
        ("status=failed", [3]),
        ("train.learning_rate=null", [0, 1, 2, 3]),
    ],
)
def test_where_chooses_runs(outputs: Any, condition: str, kept: list[int]) -> None:
    ids = [
        outputs.run(ppl=10.0),
        outputs.run(ppl=9.0, change={"config.peft.r": 16}),
        outputs.run(change={"config.peft.r": 32, "config.peft.target_modules": ["q_proj", "v_proj"]}),
        outputs.run("none", None, status="failed"),
    ]
    selection = read_all(outputs.root)
    found = restrict(selection, parse([condition], selection.records))
    assert {record.run_id for record in found.records} == {ids[place] for place in kept}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["leaderboard", "--where", "peft.mthod=lora"], "Did you mean peft.method"),
        (["leaderboard", "--where", "peft.method"], "isn't KEY=VALUE"),
        (["leaderboard", "--where", "peft.r>many"], "'many' is none"),
        (["leaderboard", "--where", "peft.method=dora"], "No run has peft.method=dora. peft.method is lora."),
        (["sampling", "--metric", "rougel"], "Did you mean"),
        (["costs", "--metric", "bleu"], "does nothing for costs; it is for leaderboard, sampling, pivot"),
        (["pivot", "--rows", "peft.methd"], "Did you mean peft.method"),
        (["--format", "csv"], "holds one table"),
    ],
)
def test_mistakes_are_told_in_a_sentence(
    outputs: Any, capsys: pytest.CaptureFixture[str], arguments: list[str], told: str
) -> None:
    outputs.run()
    assert main([*arguments, "--output-dir", str(outputs.root)]) == 2
    error = capsys.readouterr().err
    assert told in error and error.count("\n") == 1


def test_a_part_of_the_runs_is_written_to_a_folder_of_its_own(outputs: Any, capsys: pytest.CaptureFixture[str]) -> None:
    outputs.run()
    outputs.run("none")
    whole = ["costs", "--output-dir", str(outputs.root)]
    assert main(whole) == 0
    before = (outputs.root / "tables" / "costs.csv").read_text()
    assert main([*whole, "--where", "peft.method=lora", "--format", "latex"]) == 0
    assert (outputs.root / "tables" / "costs.csv").read_text() == before
    assert "where peft.method=lora (1 of 2 runs)" in capsys.readouterr().out.replace("\\_", "_")
    (folder,) = [path for path in (outputs.root / "tables").iterdir() if path.is_dir()]
    assert {path.suffix for path in folder.iterdir()} == {".md", ".csv", ".tex"}
    assert len(rows_in(folder / "costs.csv")) == 1


def rows_in(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_where_keeps_a_study_one_of_whose_runs_is_meant(outputs: Any) -> None:
    cells = [outputs.trial(name, 0, 2.0, {"peft.r": r}) for name, r in (("a", 4), ("b", 8))]
    outputs.study_sweep("tuned", {"a": {}, "b": {}}, cells)
    selection = read_all(outputs.root)
    found = restrict(selection, parse(["peft.r=4"], selection.records))
    assert [study.name for study in found.studies] == ["a"]
    with pytest.raises(UserError):
        parse(["nothing.here=1"], selection.records)
