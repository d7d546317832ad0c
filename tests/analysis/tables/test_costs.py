"""The table `costs`: what runs took, whatever became of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from analysis.tables import costs
from tests.analysis.cells import rows_of
from tests.analysis.outputs import Outputs

MakeTable = Callable[..., Any]


def took(tokens: int, cpu: float, **more: Any) -> dict[str, Any]:
    return {"training.tokens": tokens, "resources.cpu_seconds": cpu, **more}


def test_costs_count_pruned_and_failed_runs_and_add_up(outputs: Outputs, make_table: MakeTable) -> None:
    outputs.run(change=took(1000, 10.0))
    outputs.run(change=took(3000, 20.0, **{"config.seed": 1}))
    outputs.run(change=took(500, 5.0, **{"config.seed": 2}), status="pruned")
    failed = outputs.run("none", None, status="failed", training={}, resources={})
    table = make_table("costs")
    lora, untuned = rows_of(table["sections"][0])
    assert lora["runs"] == "2 completed, 1 pruned" and untuned["runs"] == "1 failed"
    assert lora["CPU seconds"] == "15.0 ± 7.1" and lora["tokens"] == "2,000 ± 1,414"
    assert float(lora["tokens / CPU second"]) == round(4500 / 35, 1)
    assert {untuned[name] for name in ("tokens", "CPU seconds", "wall seconds", "peak (MB)")} == {"–"}
    totals = {row["runs"]: row for row in rows_of(table["sections"][1])}
    assert totals["all"]["tokens"] == "4,500 (n=3)" and totals["failed"]["tokens"] == "–"
    assert totals["completed"]["CPU seconds"] == "30.0" and totals["all"]["count"] == "4"
    assert table["raw"][1]["run_ids"] == [failed] and table["raw"][0]["tokens_total"] == 4500


def test_a_run_is_counted_once_and_each_of_its_evaluations_once(outputs: Outputs, make_table: MakeTable) -> None:
    run_id = outputs.run(change=took(1000, 10.0, **{"evaluation.resources.cpu_seconds": 4.0}))
    other = {"comparability_key": "b" * 12, "evaluation.resources.cpu_seconds": 2.5}
    outputs.evaluate(run_id, {"rougeL": 0.3}, other, number=1)
    table = make_table("costs")
    (row,) = rows_of(table["sections"][0])
    assert row["runs"] == "1 completed" and row["CPU seconds"] == "10.0" and row["evaluating (CPU s)"] == "6.5"
    assert table["raw"][0]["cpu_seconds_total"] == 10 and table["raw"][0]["evaluation_cpu_seconds_total"] == 6.5


def test_costs_have_disk_and_the_largest_peak_of_training_or_evaluating(
    outputs: Outputs, make_table: MakeTable
) -> None:
    first = outputs.run(change={"resources.peak_rss_bytes": 2_000_000} | took(1, 1))
    peaks = {"resources.peak_rss_bytes": 5_000_000, "evaluation.resources.peak_rss_bytes": 6_000_000}
    outputs.run(change={**peaks, "config.seed": 1} | took(1, 1))
    (outputs.folder(first) / "adapter").mkdir()
    (outputs.folder(first) / "adapter" / "x.safetensors").write_bytes(b"0" * 3_000_000)
    (row,) = make_table("costs")["raw"]
    assert row["peak_bytes"] == 6_000_000
    assert row["disk_bytes"] == sum(path.stat().st_size for path in outputs.root.rglob("runs/**/*") if path.is_file())
    assert costs.disk_bytes(outputs.root / "runs" / "gone") == 0


def test_costs_of_a_study_keep_trials_and_finals_apart(outputs: Outputs, make_table: MakeTable) -> None:
    cells = [outputs.trial("s", n, 2.0 + n, {"peft.r": 4 * 2**n}) for n in range(2)]
    final = outputs.trial("s", 0, 2.0, {"peft.r": 4, "seed": 7}) | {"final": True, "seed": 7}
    outputs.study_sweep("tuned", {"s": {}}, [*cells, final])
    totals = {row["runs"]: row["count"] for row in rows_of(make_table("costs", "--sweep", "tuned")["sections"][1])}
    assert totals["of these, studies' trials"] == "2" and totals["of these, studies' finals"] == "1"
    assert totals["all"] == "3"
