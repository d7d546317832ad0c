"""The command trains and scores on the GPU where there is one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY, Ended
from tests.gpu.conftest import DEVICE

pytestmark = [pytest.mark.gpu, pytest.mark.long]


def test_a_sweep_of_own_lines_trains_on_the_device(command: Callable[..., Ended], tmp_path: Path) -> None:
    ended = command(
        "-m", "model=smollm2_135m_instruct", "model.scale=tiny", "peft=lora,prefix_tuning", "seed=0,1",
        "dataset=jsonl", f"dataset.path={REPOSITORY / 'docs' / 'examples' / 'dialogue.jsonl'}", "metrics=likelihood",
        "train.max_steps=3", "sweep.name=gpu", folder=tmp_path,
    )  # fmt: skip
    assert ended.code == 0, ended.err[-3000:]
    records = ended.records()
    assert len(records) == 4
    assert {record["resources"]["device"].split(":")[0] for record in records} == {DEVICE}
    assert all(record["metrics"]["completion_nll"] > 0 for record in records)
