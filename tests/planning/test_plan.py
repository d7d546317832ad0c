"""What runs together, what is the same run, and what is done already."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from persona_sweeps.planning.cells import Cell
from persona_sweeps.planning.plan import make_plan
from persona_sweeps.records.evaluation import write_evaluation
from persona_sweeps.records.files import write_json
from persona_sweeps.records.folders import RunFolder

RUN = {"schema_version": 2, "config": {}, "training": {"trainable_parameters": 0}, "provenance": {}}
EVALUATION = {"schema_version": 2, "metrics": {}, "descriptions": {}, "provenance": {}, "failure": None}


@pytest.fixture
def cell(make_cell: Callable[..., Any], tiny: tuple[str, ...], tmp_path: Path) -> Callable[..., Cell]:
    return lambda *overrides: make_cell(*tiny, f"output_dir={tmp_path}", *overrides)


def complete(cell: Cell, path: Path | None = None, status: str = "completed") -> None:
    """Write the files of a run that was trained and evaluated."""
    folder = RunFolder(path or cell.folder.path)
    write_json(folder.record, RUN | {"run_id": cell.run_id, "status": status})
    if status == "completed":
        write_evaluation(folder, cell.evaluation_id, EVALUATION | {"evaluation_id": cell.evaluation_id}, [])


def test_trials_of_one_base_model_form_one_group(cell) -> None:
    cells = [
        cell("peft=none"), cell("peft.r=4", "seed=1"), cell("peft=prompt_tuning"), cell("train.learning_rate=1e-4"),
        cell("train.batch_size=2", "train.micro_batch_size=1"), cell("dataset.limit=4"),
        cell("tracker=tensorboard", "seed=9"),
    ]  # fmt: skip
    assert [len(group) for group in make_plan(cells).groups] == [7]


@pytest.mark.parametrize(
    "override", ["model=gpt2", "train.precision=bf16", "train.max_length=128", "model.attention=eager"]
)
def test_what_one_pass_cannot_share_makes_another_group(cell, override: str) -> None:
    plan = make_plan([cell(), cell(override), cell("seed=1"), cell(override, "seed=1")])
    assert [len(group) for group in plan.groups] == [2, 2]


def test_a_group_has_no_more_trials_than_asked_for(cell) -> None:
    plan = make_plan([cell(f"seed={seed}", "group_size=2") for seed in range(5)])
    assert [[c.config.seed for c in group] for group in plan.groups] == [[0, 1], [2, 3], [4]]


def test_cells_that_ask_for_the_same_run_share_it(cell) -> None:
    cells = [cell("peft=none", "train.learning_rate=1"), cell(), cell("peft=none", "train.learning_rate=2"), cell()]
    plan = make_plan(cells)
    assert plan.cells == cells
    assert plan.distinct == plan.to_do == [cells[0], cells[1]]


@pytest.mark.parametrize("status, to_do", [("completed", 1), ("failed", 2), ("running", 2)])
def test_only_completed_runs_are_skipped(cell, status: str, to_do: int) -> None:
    complete(cell("seed=0"), status=status)
    plan = make_plan([cell("seed=0"), cell("seed=1")])
    assert [len(plan.distinct), len(plan.to_do)] == [2, to_do]


def test_a_run_is_found_by_its_id_whatever_its_folder_is_called(cell, tmp_path: Path) -> None:
    folder = tmp_path / "runs" / f"renamed-{cell().run_id}"
    complete(cell(), folder)
    assert cell().done and cell().folder.path == folder


def test_a_cell_holds_what_its_run_is_to_record(cell) -> None:
    made = cell("peft.r=4")
    assert made.overrides[-1] == "peft.r=4"
    assert made.resolved["peft"]["r"] == made.config.peft.r == 4
    assert made.resolved["train"]["learning_rate"] == 1e-3, "interpolations are resolved"
    assert "hydra" not in made.resolved


def test_automatic_precision_is_resolved_before_it_counts(make_cell, tiny) -> None:
    automatic = make_cell(*tiny, "train.precision=auto")
    assert automatic.config.train.precision.value in ("bf16", "fp32")
    assert automatic.run_id == make_cell(*tiny, f"train.precision={automatic.config.train.precision.value}").run_id
