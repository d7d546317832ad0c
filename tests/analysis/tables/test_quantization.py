"""The table of quantizations: each against the same settings without, and only where there is something to compare."""

from __future__ import annotations

import csv
from collections.abc import Callable
from typing import Any

import pytest

from analysis.__main__ import main

QUANTIZATIONS: dict[str, dict[str, Any]] = {
    "none": {"method": "none"},
    "int8": {"method": "int8", "threshold": 6.0},
    "nf4": {"method": "nf4", "double_quant": True},
}


@pytest.fixture
def run(outputs: Any) -> Callable[..., str]:
    """Add a run under a quantization, with what its weights and its group took in MB."""

    def add(quantization: str, ppl: float, weights: float, peak: float, method: str = "lora", **change: Any) -> str:
        own = {
            "config.quantization": QUANTIZATIONS[quantization],
            "resources.weights_bytes": weights * 1e6,
            "resources.peak_rss_bytes": peak * 1e6,
            **{key.replace("__", "."): value for key, value in change.items()},
        }
        return outputs.run(method, ppl, own)

    return add


@pytest.fixture
def report(outputs: Any, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def made(*arguments: str) -> str:
        assert main([*arguments, "--output-dir", str(outputs.root)]) == 0
        return capsys.readouterr().out

    return made


def rows_of(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [line for line in cells if line[0] != "method" and not line[0].startswith("--")]


def test_each_quantization_stands_below_the_same_settings_without(run: Callable, report: Callable) -> None:
    run("nf4", 11.0, 110, 800)
    run("none", 50.0, 200, 1000, "none")
    run("none", 10.0, 200, 1000)
    run("int8", 10.1, 150, 1100)
    assert rows_of(report("quantization")) == [
        ["LoRA r=8 α=16", "0.0002", "none", "0 (n=1)", "10.00", "–", "–", "200.0", "–", "1,000.0", "–", "121"],
        ["LoRA r=8 α=16", "0.0002", "int8 threshold=6.0", "0 (n=1)", "10.10", "+1.0 %", "–", "150.0", "25.0 %",
         "1,100.0", "-10.0 %", "121"],
        ["LoRA r=8 α=16", "0.0002", "nf4 double_quant=true", "0 (n=1)", "11.00", "+10.0 %", "–", "110.0", "45.0 %",
         "800.0", "20.0 %", "121"],
        ["untuned", "–", "none", "–", "50.00", "–", "–", "200.0", "–", "1,000.0", "–", "121"],
    ]  # fmt: skip


def test_only_equal_settings_are_compared(run: Callable, report: Callable) -> None:
    run("none", 10.0, 200, 1000, config__train__precision="fp32")
    run("nf4", 11.0, 100, 900, config__train__precision="bf16")
    text = report("quantization")
    assert [row[5] for row in rows_of(text)] == ["–", "–"] and "1 of 2 have no run with quantization=none" in text


def test_seeds_are_averaged_before_they_are_compared(run: Callable, report: Callable) -> None:
    for seed, ppl in enumerate((9.0, 11.0)):
        run("none", ppl, 200, 1000, config__seed=seed)
        run("nf4", ppl + 2, 100, 900, config__seed=seed)
    rows = rows_of(report("quantization"))
    assert [row[3:6] for row in rows] == [
        ["0, 1 (n=2)", "10.00 ± 1.41", "–"],
        ["0, 1 (n=2)", "12.00 ± 1.41", "+20.0 %"],
    ]


def test_the_peak_is_that_of_the_gpu_where_there_was_one(run: Callable, report: Callable) -> None:
    on_gpu = {"resources__device": "cuda:0", "resources__peak_device_bytes": 5e6}
    run("none", 9.0, 200, 1000, **on_gpu)
    run("nf4", 9.0, 200, 1000, **on_gpu | {"resources__peak_device_bytes": 3e6})
    assert [row[9:11] for row in rows_of(report("quantization"))] == [["5.0", "–"], ["3.0", "40.0 %"]]


def test_the_csv_names_the_runs_on_both_sides(run: Callable, report: Callable, outputs: Any) -> None:
    plain, small = run("none", 10.0, 200, 1000), run("nf4", 12.0, 100, 900)
    report("quantization")
    with (outputs.root / "tables" / "quantization.csv").open(newline="", encoding="utf-8") as file:
        first, second = csv.DictReader(file)
    assert (second["run_ids"], second["unquantized_run_ids"]) == (small, plain) == (small, first["run_ids"])
    assert float(second["change_against_none"]) == pytest.approx(0.2)
    assert float(second["weights_change_against_none"]) == -0.5 and first["weights_change_against_none"] == ""


def test_it_is_made_where_quantizations_differ_or_when_asked_for(run: Callable, report: Callable, outputs: Any) -> None:
    run("nf4", 10.0, 100, 900)
    assert "# Quantization" not in report() and not (outputs.root / "tables" / "quantization.md").exists()
    assert "All runs have the same quantization: sweep quantization=none,int8,nf4,fp4." in report("quantization")
    run("none", 9.0, 200, 1000)
    assert "# Quantization" in report() and "# Leaderboard" in report()
    assert "# Leaderboard" not in report("quantization")


def test_records_that_tell_no_memory_leave_it_open(outputs: Any, report: Callable) -> None:
    outputs.run("lora", 10.0)
    outputs.run("lora", None, {"config.quantization": QUANTIZATIONS["nf4"]})
    assert [row[4:11] for row in rows_of(report("quantization"))] == [
        ["0.150", *"––––––"],
        ["0.150", "+0.0 %", *"–––––"],
    ]
