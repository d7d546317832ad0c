"""This project's engine: trials one after another, or stacked in one pass of the base model."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from benchmarks.measurement import Measurement
from benchmarks.workload import Workload
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.loading import BaseModel
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.limits import limits_for
from persona_sweeps.training.trial import Trial


def one_by_one(workload: Workload, base: BaseModel) -> Measurement:
    """Train each trial solo, all on the same base model."""
    measurement = Measurement(threads=torch.get_num_threads())
    for seed in workload.seeds:
        _train(workload, base, [seed], measurement)
    return measurement


def stacked(workload: Workload, base: BaseModel, records: bool = True) -> Measurement:
    """Train all trials together; `records` lets a GPU replay recorded passes."""
    measurement = Measurement(threads=torch.get_num_threads())
    _train(workload, base, workload.seeds, measurement, records)
    return measurement


def _train(
    workload: Workload, base: BaseModel, seeds: Sequence[int], measurement: Measurement, records: bool = True
) -> None:
    """Train one group of trials; packing the rows and making the optimizers count as training."""
    adapters = [workload.config.peft.create(base.model, base.tokenizer, seed) for seed in seeds]
    losses: list[list[float]] = [[] for _ in seeds]
    with measurement.timed(), AdapterStack(base.model, adapters) as stack:
        pairs = zip(adapters, seeds, strict=True)
        trials = [Trial(adapter, workload.train, seed, workload.examples) for adapter, seed in pairs]
        limits = limits_for(workload.config, workload.device)
        engine = Engine(base.model, stack, trials, limits, note=print, records=records)
        while engine.active:
            for index, values in engine.step().items():
                losses[index].append(values["train_nll"])
            measurement.step_ended()
    for trial in trials:
        if trial.failure is not None:
            raise trial.failure
        measurement.steps += trial.progress.step
        measurement.token_slots += trial.progress.unique_tokens
    measurement.losses += losses
