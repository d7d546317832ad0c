"""TRL's SFTTrainer on the same examples, adapter, schedule and precision, padded or packed.

Its settings are its own defaults, except where another setting means the same work (schedule, rate, clipping) or less:
no activation checkpointing, no logging, no saving, and packed rows one at a time (on a CPU several would be joined into
one long row, whose attention is quadratic). Its bf16 is autocast over a base model in bf16, with the adapter in fp32.
"""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig as PeftLoraConfig
from peft import get_peft_model_state_dict, set_peft_model_state_dict
from peft.utils import load_peft_weights
from torch import Tensor
from trl import SFTConfig, SFTTrainer

from benchmarks.measurement import Measurement
from benchmarks.workload import Workload
from persona_sweeps.config.schema import Precision
from persona_sweeps.methods.export import export_adapter
from persona_sweeps.methods.lora import Lora
from persona_sweeps.models.loading import BaseModel
from persona_sweeps.progress_bars import no_progress_bars
from persona_sweeps.training.trial import SCHEDULES

NO_CHECKPOINTING = next(
    field.name for field in fields(SFTConfig) if field.name in ("activation_checkpointing", "gradient_checkpointing")
)
"""what the installed transformers calls it"""


def padded(workload: Workload, base: BaseModel) -> Measurement:
    """Train on the very batches of the engine's trial, in their order."""
    settings = {"max_steps": workload.steps, "per_device_train_batch_size": workload.train.batch_size}
    return _train(workload, base, settings)


def packed(workload: Workload, base: BaseModel) -> Measurement:
    """Train on rows packed with as many whole examples as `train.max_length` holds, in steps of about a batch."""
    mean_length = sum(len(sequence.tokens) for sequence in workload.examples) / len(workload.examples)
    rows_a_step = max(1, round(workload.train.batch_size * mean_length / workload.train.max_length))
    settings = {
        "max_steps": workload.train.max_steps or -1,
        "num_train_epochs": workload.train.epochs,
        "packing": True,
        "per_device_train_batch_size": 1,
        "gradient_accumulation_steps": rows_a_step,
    }
    return _train(workload, base, settings)


class RecordingTrainer(SFTTrainer):
    """Remembers the loss of each step and how many token slots its batches had."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.step_losses: defaultdict[int, list[Tensor]] = defaultdict(list)
        self.token_slots = 0
        self.measurement = Measurement()

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Tensor:
        self.token_slots += inputs["input_ids"].numel()
        loss = super().training_step(model, inputs, *args, **kwargs)
        if self.state.global_step not in self.step_losses:  # the step before has ended, with its optimizer
            self.measurement.step_ended()
        self.step_losses[self.state.global_step].append(loss.detach())
        return loss


def _train(workload: Workload, base: BaseModel, settings: dict[str, Any]) -> Measurement:
    (seed,) = workload.seeds
    adapter = workload.config.peft.create(base.model, base.tokenizer, seed)
    measurement = Measurement(threads=torch.get_num_threads())
    with tempfile.TemporaryDirectory() as folder, no_progress_bars():
        saved = Path(folder) / "initial"
        export_adapter(adapter, base.model, workload.config.model.hub_id, saved)
        trainer = RecordingTrainer(
            model=base.model,
            args=_arguments(workload, folder, settings),
            train_dataset=_rows(workload, seed),
            processing_class=base.tokenizer,
            peft_config=_peft_config(workload),
        )
        _init_from(saved, trainer.model)
        trainer.measurement = measurement
        with measurement.timed():
            trainer.train()
    measurement.steps = trainer.state.global_step
    measurement.token_slots = trainer.token_slots
    measurement.losses = [[float(sum(parts)) for parts in trainer.step_losses.values()]]
    return measurement


def _arguments(workload: Workload, folder: str, settings: dict[str, Any]) -> SFTConfig:
    train = workload.train
    assert train.learning_rate is not None
    return SFTConfig(
        **{NO_CHECKPOINTING: False},  # type: ignore[arg-type]
        output_dir=folder,
        learning_rate=train.learning_rate,
        lr_scheduler_type=SCHEDULES[train.scheduler],
        warmup_steps=math.ceil(train.warmup_ratio * workload.steps),
        weight_decay=train.weight_decay,
        max_grad_norm=train.max_grad_norm or 0.0,
        max_length=train.max_length,
        train_sampling_strategy="sequential",
        completion_only_loss=True,
        bf16=train.precision is Precision.bf16,
        use_cpu=workload.device == "cpu",
        report_to=[],
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
        **settings,
    )


def _rows(workload: Workload, seed: int) -> Dataset:
    return Dataset.from_list(
        [
            {
                "input_ids": list(sequence.tokens),
                "completion_mask": [int(slot >= sequence.loss_from) for slot in range(len(sequence.tokens))],
            }
            for sequence in workload.in_order(seed)
        ]
    )


def _peft_config(workload: Workload) -> PeftLoraConfig:
    lora = workload.config.peft
    assert isinstance(lora, Lora)
    return PeftLoraConfig(
        r=lora.r,
        lora_alpha=int(lora.alpha),
        lora_dropout=lora.dropout,
        target_modules=lora.target_modules,
        task_type="CAUSAL_LM",
    )


def _init_from(saved: Path, model: Any) -> None:
    """Initialize PEFT's adapter with the engine's. Raises ValueError if PEFT adapts other layers than the engine."""
    weights = load_peft_weights(str(saved), device="cpu")
    adapted = get_peft_model_state_dict(model).keys()
    if adapted != weights.keys():
        raise ValueError(f"PEFT and the engine adapt different layers: {sorted(adapted ^ weights.keys())}")
    set_peft_model_state_dict(model, weights)
