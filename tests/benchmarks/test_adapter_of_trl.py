"""An adapter that TRL trained on the same data stands in the leaderboard beside ours, with plain PEFT's likelihood."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.models.loading import load_base
from persona_sweeps.running.preparing import Tokenizers
from tests.conftest import REPOSITORY, Ended

pytest.importorskip("trl")


@pytest.mark.slow
def test_it_is_ranked_beside_ours_and_its_nll_is_plain_peft_s(
    tmp_path: Path, tiny: tuple[str, ...], launch: Callable[..., Ended], command: Callable[..., Ended],
    make_cell: Callable[..., Any],
) -> None:  # fmt: skip
    twin = load_base(make_cell(*tiny).config.model, torch.float32, "cpu")
    base = tmp_path / "base"
    twin.model.save_pretrained(base)
    twin.tokenizer.save_pretrained(base)
    own = (*(text for text in tiny if text != "model.scale=tiny"), f"model.hub_id={base}", "train.max_steps=8")

    prepared = Tokenizers().prepared(make_cell(*own))
    _train_with_trl(base, _sequences(prepared.train), tmp_path / "of_trl")

    ended = launch("-m", *own, "peft=none,lora", "sweep.name=both")
    assert ended.code == 0, ended.err
    ended = launch(*own, "peft=adapter", f"peft.path={tmp_path / 'of_trl'}", "sweep.name=theirs")
    assert ended.code == 0, ended.err

    record = next(r for r in ended.records() if r["config"]["peft"]["method"] == "adapter")
    assert record["predictor"]["trains"] is False and record["training"]["steps"] == 0
    ours = _nll_of(ended, record)
    theirs = _nll_by_peft(base, tmp_path / "of_trl", prepared.eval)
    assert ours == pytest.approx(theirs, abs=1e-4)

    shown = command("leaderboard", folder=tmp_path, python=("-m", "analysis"), PYTHONPATH=str(REPOSITORY))
    assert shown.code == 0, shown.err
    assert "adapter of_trl (LoRA r=4" in shown.out and "LoRA r=16" in shown.out and "untuned" in shown.out


def _sequences(rows: Any) -> list[TokenSequence]:
    pairs = zip(rows["input_ids"], rows["loss_from"], strict=True)
    return [TokenSequence(tuple(ids), loss_from) for ids, loss_from in pairs]


def _train_with_trl(base: Path, sequences: Sequence[TokenSequence], folder: Path) -> None:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    rows = [
        {"input_ids": list(s.tokens), "completion_mask": [int(i >= s.loss_from) for i in range(len(s.tokens))]}
        for s in sequences
    ]
    arguments = SFTConfig(
        output_dir=str(folder / "trainer"), max_steps=8, per_device_train_batch_size=4, learning_rate=1e-2,
        use_cpu=True, bf16=False, report_to=[], save_strategy="no", logging_strategy="no", disable_tqdm=True,
        completion_only_loss=True, activation_checkpointing=False,
    )  # fmt: skip
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(base),
        args=arguments,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(base),
        peft_config=LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", task_type="CAUSAL_LM"),
    )
    trainer.train()
    trainer.model.save_pretrained(folder)


def _nll_of(ended: Ended, record: dict[str, Any]) -> dict[str, float]:
    """Return the mean NLL a token of each item, as the run's samples have it."""
    return {row["id"]: row["completion_nll"] for row in ended.samples_of(record)}


@torch.no_grad()
def _nll_by_peft(base: Path, adapter: Path, rows: Any) -> dict[str, float]:
    """Compute the same with nothing but transformers and PEFT, one unpadded sequence at a time."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(base), str(adapter)).eval()
    found = {}
    for row in rows:
        ids = torch.tensor([row["input_ids"]])
        logs = model(input_ids=ids).logits[0, :-1].float().log_softmax(-1)
        nll = -logs.gather(-1, ids[0, 1:, None])[:, 0]
        found[row["id"]] = float(nll[row["prompt_length"] - 1 :].mean())
    return found
