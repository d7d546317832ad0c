"""The notebook of the demonstration runs from top to bottom, here with the tiny twin, and is kept with its output."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

NOTEBOOK = REPOSITORY / "docs" / "examples" / "demo.ipynb"
TINY = (
    "model.scale=tiny", "train.max_steps=2", "hydra.sweeper.params.seed=0",
)  # fmt: skip


@pytest.mark.slow
def test_it_runs(tmp_path: Path, shared_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    monkeypatch.setenv("PERSONA_SWEEPS_CACHE", str(shared_cache))
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    (parameters,) = [cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", ())]
    parameters.source = f"overrides = {list(TINY)}"
    for cell in notebook.cells:
        cell.pop("outputs", None) if cell.cell_type != "code" else cell.update(outputs=[])
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    ).execute()  # raises the error of a cell
    printed = "\n".join(str(cell.outputs) for cell in notebook.cells if cell.cell_type == "code")
    assert "Characters: sweep demo" in printed and "Falstaff:" in printed and "image/png" in printed


def test_it_is_kept_with_its_output_and_without_an_error() -> None:
    import nbformat

    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    kinds = [output.output_type for cell in notebook.cells for output in cell.get("outputs", ())]
    assert "error" not in kinds and len(kinds) >= 6
    assert "/tmp/" not in NOTEBOOK.read_text(encoding="utf-8") and "/work/" not in NOTEBOOK.read_text(encoding="utf-8")
