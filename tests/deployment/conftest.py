"""A finished sweep of tiny twins, one run a method, made once for all of these tests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import persona_sweeps
from persona_sweeps.deployment.host import FinishedRun, read_run
from persona_sweeps.records.folders import RunFolder

TINY = ("model.scale=tiny", "dataset.limit=40", "dataset.eval_limit=6", "train.max_steps=4", "train.max_length=512",
        "train.precision=fp32", "device=cpu", "generation.max_new_tokens=8")  # fmt: skip
STRONG = "peft.learning_rate=0.02"
"""so that what was trained changes answers"""


class Finished:
    """The output folder of the sweep, and its runs by method."""

    def __init__(self, output: Path) -> None:
        self.output = output

    def run(self, method: str, **config: str) -> FinishedRun:
        """Return the first run of a method whose config has these values, by dotted path with underscores doubled."""
        found = [
            run for run in persona_sweeps.load_runs(output_dir=self.output) if run.get("config.peft.method") == method
        ]
        asked = {"quantization__method": "none"} | config
        meant = [
            run for run in found if all(run.get(f"config.{key.replace('__', '.')}") == asked[key] for key in asked)
        ]
        return read_run(RunFolder(meant[0].folder))


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[Finished]:
    output = tmp_path_factory.mktemp("finished") / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSONA_SWEEPS_CACHE", str(shared_cache))
        methods = "peft=lora,dora,ia3,full,prompt_tuning,lora_prompt,none"
        persona_sweeps.sweep(methods, *TINY, STRONG, "sweep.name=all", output_dir=output)
        persona_sweeps.sweep("peft=lora", "quantization=nf4", *TINY, STRONG, "sweep.name=stored", output_dir=output)
        yield Finished(output)
