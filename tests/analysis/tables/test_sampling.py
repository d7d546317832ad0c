"""The table `sampling`: decoding settings between evaluations that share all else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from analysis.__main__ import main
from tests.analysis.cells import rows_of
from tests.analysis.outputs import Outputs
from tests.analysis.records import described

MakeTable = Callable[..., Any]
GREEDY = {"method": "greedy", "max_new_tokens": 64}
NUCLEUS = {"method": "nucleus", "max_new_tokens": 64, "temperature": 0.8, "top_p": 0.95}


def add_replies(outputs: Outputs, run_id: str, predictions: list[str]) -> None:
    lines = [{"id": f"i{n}", "cluster": "s", "prediction": text} for n, text in enumerate(predictions)]
    outputs.add_samples(run_id, lines)


def decoded(generation: dict[str, Any], key: str, rouge: float, **more: Any) -> dict[str, Any]:
    return {"config.generation": generation, "comparability_key": key, "metrics.rougeL": rouge, **more}


def test_sampling_compares_only_evaluations_that_share_all_else(outputs: Outputs, make_table: MakeTable) -> None:
    greedy = outputs.run(change=decoded(GREEDY, "k1", 0.1))
    nucleus = outputs.run(change=decoded(NUCLEUS, "k2", 0.2))
    outputs.run(change=decoded(NUCLEUS, "k2", 0.4, **{"config.seed": 1}))
    outputs.run(change=decoded(NUCLEUS, "k2", 0.9, **{"config.peft.r": 64}))
    add_replies(outputs, greedy, ["the the the", ""])
    add_replies(outputs, nucleus, ["to be or", "not to be"])
    table = make_table("sampling")
    (section,) = table["sections"]
    best, worst = rows_of(section)
    assert best["decoding"] == "nucleus max_new_tokens=64 temperature=0.8 top_p=0.95"
    assert best["ROUGE-L"] == "0.300 ± 0.141" and best["distinct-1"] == "0.667 (n=1)"
    assert (worst["decoding"], worst["distinct-1"], worst["empty"]) == ("greedy max_new_tokens=64", "0.333", "50.0 %")
    assert "PPL" not in best and "BLEU" not in best, "what decoding has no bearing on isn't shown"
    assert any("1 settings" in note for note in table["notes"])
    assert table["raw"][1]["run_ids"] == [greedy]


def test_two_decodings_of_one_run_are_compared(outputs: Outputs, make_table: MakeTable) -> None:
    run_id = outputs.run(change=decoded(GREEDY, "k1", 0.1))
    outputs.evaluate(run_id, {"rougeL": 0.2}, decoded(NUCLEUS, "k2", 0.2), number=1)
    (section,) = make_table("sampling")["sections"]
    assert [row["ROUGE-L"] for row in rows_of(section)] == ["0.200", "0.100"]


def test_an_evaluation_without_texts_is_no_decoding(outputs: Outputs, capsys: pytest.CaptureFixture[str]) -> None:
    run_id = outputs.run(change=decoded(GREEDY, "k1", 0.1))
    asked = {"evaluation.predictions": {"n1": {"kind": "nll"}}, "comparability_key": "k2"}
    outputs.evaluate(run_id, {"completion_nll": 3.0}, asked, number=1)
    assert main(["--output-dir", str(outputs.root)]) == 0
    assert "# Decoding settings" not in capsys.readouterr().out


@pytest.mark.parametrize(("higher", "first"), [(True, "greedy"), (False, "nucleus")])
def test_sampling_goes_by_the_metric_asked_for_its_best_first(
    higher: bool, first: str, outputs: Outputs, make_table: MakeTable
) -> None:
    of_mine = {"descriptions.mine": described("Mine", higher_is_better=higher, format=".0f")}
    outputs.run(change=decoded(GREEDY, "k1", 0.1, **{"metrics.mine": 3.0}, **of_mine))
    outputs.run(change=decoded(NUCLEUS, "k2", 0.2, **{"metrics.mine": 1.0}, **of_mine))
    row = rows_of(make_table("sampling", "--metric", "mine")["sections"][0])[0]
    assert row["decoding"].startswith(first) and row["Mine"] == ("3" if higher else "1")


def test_sampling_says_where_items_differ_and_where_samples_are_broken(outputs: Outputs, make_table: MakeTable) -> None:
    runs = [outputs.run(change=decoded(config, key, 0.1)) for config, key in ((GREEDY, "k1"), (NUCLEUS, "k2"))]
    add_replies(outputs, runs[0], ["a", "b"])
    add_replies(outputs, runs[1], ["a", "b", "c"])
    assert "different items" in make_table("sampling")["sections"][0]["notes"][0]
    outputs.samples(runs[1]).write_text("{\n")
    (note,) = make_table("sampling")["sections"][0]["notes"]
    assert "samples.jsonl line 1" in note and runs[1] in note
