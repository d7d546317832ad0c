"""Runs that trained nothing, and those without a model, in tables that are about models."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.read.labels import has_model, model_label
from analysis.read.selection import Selection, read_all
from analysis.read.settings import settings
from analysis.tables import TABLES, base_vs_instruct, leaderboard, quantization
from analysis.tables.lora_vs_prompt_tuning import build as lora_vs_prompt_tuning

NO_MODEL = {
    "config.model": None,
    "config.quantization": None,
    "config.train": None,
}


@pytest.fixture
def selection(outputs: Any) -> Selection:
    outputs.run("lora", 9.0)
    outputs.run("prompt_tuning", 12.0)
    few_shot = {"method": "few_shot", "learning_rate": None, "shots": 4}
    outputs.run("few_shot", 20.0, {"config.peft": few_shot, "config.seed": 0})
    outputs.run("few_shot", 21.0, {"config.peft": few_shot, "config.seed": 1, "config.train.epochs": 9.0})
    outputs.run("nearest_reply", None, NO_MODEL)
    return read_all(outputs.root)


def test_beside_one_model_they_change_neither_what_is_ranked_by_nor_the_columns(selection: Selection) -> None:
    (section,) = leaderboard.build(selection).sections
    assert section.title.startswith("smollm2_135m_instruct ·")
    methods = [row[1] for row in section.rows]
    assert methods[:2] == ["LoRA r=8 α=16", "prompt tuning 16 tokens"] and "Ranked by PPL." in section.notes
    assert [
        told.startswith(name) for told, name in zip(methods[2:], ("few-shot, 4 shots", "nearest reply"), strict=True)
    ]
    assert section.rows[2][2] == "–" and section.rows[3][0] == "–"


def test_seeds_choose_shots_and_how_one_would_train_splits_no_row(selection: Selection) -> None:
    found = {setting.method: setting for setting in settings(selection.scored())}
    assert len(found) == 4 and found["few_shot"].seeds == [0, 1] and found["few_shot"].learning_rate is None
    assert not found["few_shot"].is_fixed and found["nearest_reply"].is_fixed


def test_tables_about_models_leave_out_what_has_none(selection: Selection) -> None:
    assert [model_label(result) for result in selection.results if not has_model(result)] == ["no model"]
    assert not quantization.applies(selection) and not base_vs_instruct.applies(selection)
    for build in (quantization.build, lora_vs_prompt_tuning):
        titles = [section.title.split(" · ")[0] for section in build(selection).sections]
        assert titles[0] == "smollm2_135m_instruct" and set(titles) <= {"smollm2_135m_instruct", "By model"}


@pytest.mark.parametrize("name", TABLES)
def test_every_table_can_be_made_of_nothing_else(outputs: Any, name: str) -> None:
    from analysis.tables.options import TableOptions

    outputs.run("nearest_reply", None, NO_MODEL)
    table = TABLES[name].make(read_all(outputs.root), TableOptions())
    assert table.title and not any(
        "smollm2" in cell for section in table.sections for row in section.rows for cell in row
    )
