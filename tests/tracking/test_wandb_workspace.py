"""The view of a sweep in W&B is what its code says: the JSON that W&B would get is kept as a golden.

After a deliberate change: `REGENERATE=1 pytest tests/tracking/test_wandb_workspace.py`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.tracking.conftest import SWEEP

pytest.importorskip("wandb_workspaces")
GOLDEN = Path(__file__).parent / "golden" / "workspace.json"


def without_ids(value: Any) -> Any:
    """Return a view without the names that are drawn anew each time."""
    if isinstance(value, dict):
        return {key: without_ids(one) for key, one in value.items() if key not in ("__id__", "id")}
    return [without_ids(one) for one in value] if isinstance(value, list) else value


def test_the_view_without_a_connection_is_the_golden(recorded: Path, push: Callable[..., str]) -> None:
    out = push("--to", "wandb", "mode=offline", "project=plays", "--workspace")
    path = recorded / "sweeps" / SWEEP / "tracking" / "workspace.json"
    assert f"the view is kept as {path}" in out
    view = without_ids(json.loads(path.read_text()))
    if os.environ.get("REGENERATE"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(json.dumps(view, indent=1, sort_keys=True) + "\n")
    assert view == json.loads(GOLDEN.read_text())


def test_the_golden_has_what_a_sweep_is_looked_at_for() -> None:
    view = json.loads(GOLDEN.read_text())
    text = json.dumps(view)
    for wanted in ("characters", "leaderboard", "train_nll", "peft.method", "peft.alpha", "bits_per_byte", "samples"):
        assert wanted in text, wanted
    sections = view["spec"]["section"]["panelBankConfig"]["sections"]
    kinds = {panel["viewType"] for section in sections for panel in section["panels"]}
    assert {"Run History Line Plot", "Parallel Coordinates Plot", "Parameter Importance"} <= kinds
    assert SWEEP in json.dumps(view["spec"]["section"]["runSets"])
