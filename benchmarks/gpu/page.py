"""The part of docs/performance.md that is about a GPU, made from its results."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.gpu.training import CASES, predicted_peak
from benchmarks.gpu.workload import workload
from benchmarks.page import rewrite_between
from persona_sweeps.device import Machine, planning_for

BEGIN, END = "<!-- gpu:begin -->", "<!-- gpu:end -->"
TRAINERS = {
    "stacked": "persona-sweeps",
    "unrecorded": "persona-sweeps, nothing recorded",
    "trl": "TRL SFTTrainer",
}
SHOWN = ("torch", "transformers", "peft", "bitsandbytes")


def rewrite(page: Path, results: Path) -> None:
    """Write the tables of these results between their markers. Raises UserError if the page or a marker is missing."""
    rewrite_between(page, BEGIN, END, render(json.loads(results.read_text(encoding="utf-8"))))


def render(result: Mapping[str, Any]) -> str:
    """Return the tables and where they come from, as Markdown."""
    parts = result["parts"]
    tables = [_training(result, parts.get("training", [])), _generation(parts.get("generation", []))]
    ceilings, device = result["ceilings"], result["device"]
    packages = ", ".join(f"{name} {result['packages'][name]}" for name in SHOWN if result["packages"].get(name))
    source = (
        f"- {result['created'][:10]}, {device['name']}, CUDA {device['cuda']}; {packages}. A large bf16 matrix product "
        f"ran at {ceilings['matrix_tflops']:.0f} TFLOP/s, a copy at {ceilings['copied_tb_per_second']:.1f} TB/s. To "
        f"start a small kernel took the host {ceilings['launch_microseconds']:.0f} µs."
    )
    return "\n" + "\n\n".join([*filter(None, tables), source]) + "\n"


def _training(result: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return ""
    trl = {(row["model"], row["card"]): row["tokens_per_second"] for row in rows if row["contestant"] == "trl"}
    heading = ("Model", "Trained by", "Trials", "ms a step", "Tokens a second", "× TRL", "Share of matrix rate",
               "Peak GB", "Forecast GB")  # fmt: skip
    lines = []
    order = {model: index for index, model in enumerate(dict.fromkeys(row["model"] for row in rows))}
    for row in sorted(rows, key=lambda row: (order[row["model"]], -row["card"], row["contestant"] != "trl")):
        yardstick = trl.get((row["model"], row["card"]))
        forecast = "" if row["contestant"] == "trl" else f"{_forecast(result, row) / 1e9:.1f}"
        card = "" if row["card"] else ", no card"
        lines.append(
            (
                row["model"] + card,
                TRAINERS[row["contestant"]],
                str(row["trials"]),
                f"{1000 * row['seconds_a_step']:.0f}",
                f"{row['tokens_per_second']:,.0f}",
                f"{row['tokens_per_second'] / yardstick:.1f}" if yardstick else "",
                f"{row['share_of_matrix_rate']:.1%}",
                f"{row['peak_bytes'] / 1e9:.1f}",
                forecast,
            )
        )
    return _table(heading, lines, left=2)


def _forecast(result: Mapping[str, Any], row: Mapping[str, Any]) -> int:
    """Return what the plan says today of a row's peak, on a machine with this GPU."""
    (shape,) = {case.shape for case in CASES if case.shape.title == row["model"]}
    with planning_for(Machine(1, 9, result["device"]["memory_bytes"], None)):
        return predicted_peak(workload(shape, "cuda", False, row["trials"], row["card"], row["steps"]))


def _generation(rows: Sequence[Mapping[str, Any]]) -> str:
    lines = [
        (row["model"], row["way"], str(row["new_tokens"]), f"{row['seconds']:.1f}",
         f"{row['new_tokens_per_second']:,.0f}", f"{row['peak_bytes'] / 1e9:.1f}")
        for row in rows
    ]  # fmt: skip
    return (
        _table(("Model", "Answered by", "New tokens", "Seconds", "Tokens a second", "Peak GB"), lines, 2)
        if rows
        else ""
    )


def _table(heading: Sequence[str], rows: Sequence[Sequence[str]], left: int) -> str:
    ruler = [":---" if column < left else "---:" for column in range(len(heading))]
    return "\n".join(f"| {' | '.join(row)} |" for row in (heading, ruler, *rows))
