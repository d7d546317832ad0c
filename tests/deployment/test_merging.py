"""Merging: the folder that is written answers as the adapter does, in any library, or nothing is written."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import persona_sweeps
from persona_sweeps.config.schema import Precision
from persona_sweeps.deployment import merging
from persona_sweeps.deployment.agreement import Agreement
from persona_sweeps.deployment.host import read_run
from persona_sweeps.deployment.merging import RECORD, merge
from persona_sweeps.deployment.predictor import predictors
from persona_sweeps.errors import UserError
from persona_sweeps.records.folders import RunFolder

from .conftest import TINY, Finished

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("method", ["lora", "dora", "ia3", "full"])
def test_a_merged_model_is_an_ordinary_one_that_answers_as_the_adapter_does(
    finished: Finished, tmp_path: Path, method: str
) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run = finished.run(method)
    merged = merge(run, tmp_path / "merged")
    assert merged.agreement.mean_difference < 2e-6 and merged.as_trained is None
    tuned, untuned = (predictors([one], "cpu")[0] for one in (run, run.untuned()))
    model = AutoModelForCausalLM.from_pretrained(merged.folder)
    tokenizer = AutoTokenizer.from_pretrained(merged.folder)
    messages = [{"role": "system", "content": tuned.card()}, {"role": "user", "content": "Who's there?"}]
    prompt = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    made = model.generate(**prompt, max_new_tokens=8, do_sample=False)[0, prompt["input_ids"].shape[1] :]
    assert tokenizer.decode(made, skip_special_tokens=True).strip() == tuned.reply("Who's there?", max_new_tokens=8)
    assert tuned.nll("Who's there?", "Nay, answer me.") != untuned.nll("Who's there?", "Nay, answer me.")


def test_what_is_written_says_what_it_is_made_of(finished: Finished, tmp_path: Path) -> None:
    run = finished.run("lora")
    merged = merge(run, tmp_path / "merged", Precision.bf16)
    record = json.loads((merged.folder / RECORD).read_text())
    assert record["run_id"] == run.record["run_id"] and record["precision"] == "bf16"
    assert record["base_fingerprint"] == run.record["provenance"]["model_fingerprint"]
    assert record["agreement"]["mean_difference"] == merged.agreement.mean_difference
    tensors = load_file(merged.folder / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.bfloat16}
    assert not list(merged.folder.glob("*.bin")) and (merged.folder / "chat_template.jinja").is_file()
    again = merge(run, merged.folder)  # the same run in another precision replaces it
    assert json.loads((again.folder / RECORD).read_text())["precision"] == "fp32"


def test_a_quantized_base_is_merged_unquantized_and_its_own_difference_is_said(
    finished: Finished, tmp_path: Path
) -> None:
    merged = merge(finished.run("lora", quantization__method="nf4"), tmp_path / "merged")
    assert merged.agreement.mean_difference < 2e-6
    assert merged.as_trained is not None and merged.as_trained.mean_difference > 1e-4
    tensors = load_file(merged.folder / "model.safetensors")
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float32}


@pytest.mark.parametrize(
    ("method", "why"),
    [("prompt_tuning", "has virtual tokens"), ("lora_prompt", "has virtual tokens"), ("none", "trained nothing")],
)
def test_what_is_no_change_of_weights_is_refused(finished: Finished, tmp_path: Path, method: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        merge(finished.run(method), tmp_path / "merged")
    assert not list(tmp_path.iterdir())


def test_an_adapter_of_elsewhere_is_merged_once_it_was_evaluated(finished: Finished, tmp_path: Path) -> None:
    mine = finished.run("lora")
    path = f"peft.path={mine.folder.adapter}"
    (evaluated,) = persona_sweeps.sweep("peft=adapter", path, *TINY, "sweep.name=foreign", output_dir=tmp_path / "out")
    merged = merge(read_run(RunFolder(evaluated.folder)), tmp_path / "merged")
    assert merged.agreement.mean_difference < 2e-6
    theirs, ours = (
        load_file(folder / "model.safetensors") for folder in (merged.folder, merge(mine, tmp_path / "m").folder)
    )
    assert all(torch.equal(theirs[name], ours[name]) for name in ours)


def test_other_weights_than_those_of_training_are_refused(finished: Finished, tmp_path: Path) -> None:
    run = finished.run("lora")
    provenance = run.record["provenance"] | {"model_fingerprint": "of other weights"}
    with pytest.raises(UserError, match="trained on other weights"):
        merge(replace(run, record=run.record | {"provenance": provenance}), tmp_path / "merged")


def test_a_merge_that_answers_otherwise_is_not_written(
    finished: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = merging.save_whole

    def spoil(model: torch.nn.Module, tokenizer: object, folder: Path) -> None:
        save(model, tokenizer, folder)  # type: ignore[arg-type]
        tensors = load_file(folder / "model.safetensors")
        save_file(
            {name: tensor * 1.02 for name, tensor in tensors.items()}, folder / "model.safetensors", {"format": "pt"}
        )

    monkeypatch.setattr(merging, "save_whole", spoil)
    with pytest.raises(UserError, match="answers otherwise than the adapter"):
        merge(finished.run("lora"), tmp_path / "merged")
    assert not list(tmp_path.iterdir())


def test_no_number_is_no_agreement() -> None:
    with pytest.raises(UserError, match="answers otherwise"):
        merging._within(Agreement(1, 1, 1.0, float("nan"), float("nan"), float("nan")), Precision.fp32)


def test_a_folder_with_something_else_is_left_alone(finished: Finished, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="holds no merge of this run"):
        merge(finished.run("lora"), tmp_path)
    merge(finished.run("ia3"), tmp_path / "merged")
    with pytest.raises(UserError, match="holds the merge of run"):
        merge(finished.run("lora"), tmp_path / "merged")
    assert (tmp_path / "notes.txt").read_text() == "mine"
