"""`peft.start_from`: training goes on from the very weights that another run trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.errors import ConfigError
from persona_sweeps.methods.formats.files import AdapterError
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.start import find_start
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.loading import BaseModel
from persona_sweeps.training.engine import Engine
from tests.conftest import Ended
from tests.toolbox import LORA, METHODS, PROMPT, STACKED, adapter_of

CAN_START = [name for name in STACKED if METHODS[name].can_start_from]


def nll(base: BaseModel, adapter: Adapter, sequences: list[TokenSequence]) -> list[float]:
    with AdapterStack(base.model, [adapter]) as stack:
        return Engine(base.model, stack, []).sequence_nll({0: sequences})[0].tolist()


def history(ended: Ended, record: dict[str, Any]) -> list[dict[str, Any]]:
    text = (ended.folder_of(record) / "history.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("method", CAN_START)
def test_every_method_starts_where_another_run_ended(
    llama: BaseModel, sequences: list[TokenSequence], tmp_path: Path, method: str
) -> None:
    trained = adapter_of(llama, METHODS[method], seed=3)
    METHODS[method].save(trained, llama.model, llama.tokenizer, "none", tmp_path)
    peft = replace(METHODS[method], start_from=str(tmp_path / "adapter"))
    started = peft.start(llama.model, llama.tokenizer, 0)
    assert nll(llama, started, sequences) == pytest.approx(nll(llama, trained, sequences), rel=1e-5)
    fresh = METHODS[method].start(llama.model, llama.tokenizer, 0)
    assert nll(llama, started, sequences) != pytest.approx(nll(llama, fresh, sequences), rel=1e-5)
    assert [p.shape for p in started.parameters()] == [p.shape for p in fresh.parameters()]
    assert all(p.requires_grad for p in started.parameters()) and started.dropout == fresh.dropout


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (replace(LORA, r=2, alpha=4.0), "set the same peft.r"),
        (replace(LORA, alpha=16.0), "set the same peft.alpha"),
        (replace(LORA, target_modules=["q_proj"]), "choose the same peft= and peft.target_modules"),
        (PROMPT, "choose the same peft="),
    ],
)
def test_weights_of_another_shape_are_refused_with_what_to_set(
    llama: BaseModel, tmp_path: Path, changed: object, message: str
) -> None:
    LORA.save(adapter_of(llama, LORA), llama.model, llama.tokenizer, "none", tmp_path)
    peft = replace(changed, start_from=str(tmp_path / "adapter"))  # type: ignore[type-var]
    with pytest.raises(AdapterError, match=message):
        peft.start(llama.model, llama.tokenizer, 0)  # type: ignore[attr-defined]


def test_a_second_phase_goes_on_from_the_first_by_its_id(launch: Callable[..., Ended], tiny: tuple[str, ...]) -> None:
    often = ("peft=lora", "peft.r=2", "train.eval_every=1", "train.eval_at_start=true")
    first = launch(*tiny, *often, "train.learning_rate=0.02")
    [record] = first.records()
    second = launch(*tiny, *often, f"peft.start_from={record['run_id']}", "train.learning_rate=0.01")
    assert second.code == 0, second.err
    [continued] = [r for r in second.records() if r["run_id"] != record["run_id"]]
    assert continued["predictor"]["label"] == f"LoRA r=2 α=32 from {record['run_id']}"
    begun = history(second, continued)[0]
    assert begun["step"] == 0 and begun["eval_nll"] == pytest.approx(history(first, record)[-1]["eval_nll"], rel=1e-6)
    moved = first.folder_of(record).rename(first.folder_of(record).with_name("elsewhere"))
    again = launch(*tiny, *often, f"peft.start_from={moved}", "train.learning_rate=0.01")
    assert "1 done already" in again.out + again.err, "the run is the same wherever the weights lie"


def test_what_can_t_be_started_from_is_said_before_anything_starts(
    launch: Callable[..., Ended], tiny: tuple[str, ...], tmp_path: Path
) -> None:
    ended = launch(*tiny, "peft=lora", "peft.start_from=0123456789")
    assert ended.code != 0 and "is neither a folder nor a run in" in ended.err
    ended = launch(*tiny, "peft=p_tuning", "peft.start_from=0123456789")
    assert "can't be had with peft=p_tuning" in ended.err
    with pytest.raises(ConfigError, match="holds no adapter"):
        find_start(str(tmp_path), "nowhere")


def test_nothing_but_the_weights_is_taken(llama: BaseModel, tmp_path: Path) -> None:
    LORA.save(adapter_of(llama, LORA, seed=5), llama.model, llama.tokenizer, "none", tmp_path)
    peft = replace(LORA, start_from=str(tmp_path / "adapter"), dropout=0.25)
    started = peft.start(llama.model, llama.tokenizer, 7)
    assert started.dropout == 0.25 and started.seed == 7 and started.step == 0
    assert isinstance(next(started.parameters()), torch.nn.Parameter)
