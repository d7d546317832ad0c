"""GGUF files of a run: llama.cpp reads, scores and answers as the model here does, or nothing is written.

The model is a small llama with random weights and the embedded model's tokenizer, which the converter knows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

import persona_sweeps
from persona_sweeps.deployment.gguf.checks import TOLERANCE, check, expect, require_same
from persona_sweeps.deployment.gguf.export import RECORD, export, find_tools
from persona_sweeps.deployment.gguf.llama import Llama
from persona_sweeps.deployment.host import FinishedRun, Host, read_run
from persona_sweeps.deployment.predictor import Predictor
from persona_sweeps.errors import UserError
from persona_sweeps.records.folders import RunFolder
from tests.conftest import small_llama

pytestmark = pytest.mark.slow

SETTINGS = ("model=auto", "dataset.limit=40", "dataset.eval_limit=6", "train.max_steps=6", "train.max_length=256",
            "train.precision=bf16", "device=cpu", "generation.max_new_tokens=8", "metrics=likelihood")  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, shared_cache: Path) -> Iterator[dict[str, FinishedRun]]:
    """One run of each method on the small llama, by method."""
    folder = tmp_path_factory.mktemp("gguf")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERSONA_SWEEPS_CACHE", str(shared_cache))
        small_llama(folder / "llama")
        strong = "peft.learning_rate=0.02"
        of = (*SETTINGS, f"model.hub_id={folder / 'llama'}")
        persona_sweeps.sweep("peft=rslora,dora", *of, strong, "sweep.name=all", output_dir=folder / "out")
        found = persona_sweeps.load_runs(output_dir=folder / "out")
        yield {str(run.get("config.peft.method")): read_run(RunFolder(run.folder)) for run in found}


@pytest.mark.long
def test_every_file_of_a_merged_run_answers_in_llama_cpp(runs: dict[str, FinishedRun], tmp_path: Path) -> None:
    run = runs["dora"]
    (written,) = export(run, tmp_path / "out", ("f16",), find_tools(("f16",), None, None))
    assert written.check.agreement.mean_difference < TOLERANCE and written.check.same_answers == written.check.answers
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert record["run_id"] == run.record["run_id"] and list(record["sha256"]) == [written.name]
    assert "FROM ./" in (tmp_path / "out" / "Modelfile").read_text()
    with pytest.raises(UserError, match="no plain LoRA"):
        export(run, tmp_path / "lora", ("f16",), find_tools(("f16",), None, None), lora=True)
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_lora_lies_beside_its_base_and_changes_it_as_here(runs: dict[str, FinishedRun], tmp_path: Path) -> None:
    run = runs["rslora"]
    (written,) = export(run, tmp_path, ("f16",), find_tools(("f16",), None, None), lora=True)
    assert written.check.agreement.mean_difference < TOLERANCE and written.check.same_answers == written.check.answers
    expected, base = expect(Predictor(Host([run]))), tmp_path / written.name
    alone = check(base, expected)
    assert alone.agreement.mean_difference > 10 * TOLERANCE
    with pytest.raises(UserError, match=r"llama\.gguf answers otherwise in llama.cpp than here: .* the model's"):
        require_same(alone, "llama.gguf")
    misread = replace(expected, prompts=[[*tokens[:2], tokens[2] + 1, *tokens[3:]] for tokens in expected.prompts])
    with pytest.raises(UserError, match="reads a prompt as other tokens than in training: token 2 is"):
        check(base, misread)
    with Llama(base, 64) as llama:
        llama._process.kill()
        with pytest.raises(UserError, match="llama.cpp gave no answer"):
            llama.greedy([1], 2)
    (adapter,) = tmp_path.glob("*lora*.gguf")
    with pytest.raises(UserError, match=f"llama.cpp can't load {adapter}: llama_model_load: error"):
        Llama(adapter, 64)
