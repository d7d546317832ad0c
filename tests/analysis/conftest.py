"""Run folders as a sweep leaves them behind, made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from analysis.__main__ import main
from tests.analysis.outputs import Outputs


@pytest.fixture
def outputs(tmp_path: Path) -> Outputs:
    return Outputs(tmp_path / "outputs")


@pytest.fixture
def new_outputs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Outputs]:
    """Make a fresh output directory at each call, for property tests."""
    return lambda: Outputs(tmp_path_factory.mktemp("outputs"))


@pytest.fixture
def make_table(outputs: Outputs, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run the command with --format json and return the one table."""

    def run(*arguments: str) -> Any:
        assert main([*arguments, "--format", "json", "--output-dir", str(outputs.root)]) == 0
        (found,) = json.loads(capsys.readouterr().out)["tables"]
        return found

    return run
