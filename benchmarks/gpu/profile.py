"""Where the time of a training step goes: kernels, waits of the host for the device, and the longest operations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.gpu.training import EIGHT, SMALL
from benchmarks.gpu.workload import Shape, workload
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.limits import limits_for
from persona_sweeps.training.trial import Trial

STEPS = 3
SHOWN = 14
CASES = ((SMALL, 1), (SMALL, 8), (EIGHT, 1))
WAITS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
LAUNCHES = ("cudaLaunchKernel", "cudaLaunchKernelExC", "cuLaunchKernel", "cuLaunchKernelEx")


def rows(device: str, tiny: bool) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield the title of each row, and a function that measures it."""
    for shape, trials in CASES:
        yield f"{shape.title}, {trials}", lambda shape=shape, trials=trials: _measure(shape, trials, device, tiny)  # type: ignore[misc]


def _measure(shape: Shape, count: int, device: str, tiny: bool) -> dict[str, Any]:
    chosen = workload(shape, device, tiny, trials=count, steps=STEPS + 3)
    base = chosen.load_base()
    adapters = [chosen.config.peft.create(base.model, base.tokenizer, seed) for seed in chosen.seeds]
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device == "cuda" else [])]
    with AdapterStack(base.model, adapters) as stack:
        trials = [Trial(adapter, chosen.train, seed, chosen.examples) for seed, adapter in enumerate(adapters)]
        engine = Engine(base.model, stack, trials, limits_for(chosen.config, device))
        steps = min(STEPS, chosen.steps - 1)
        engine.step()
        with profile(activities=activities) as seen:
            for _ in range(steps):
                engine.step()
            if device == "cuda":
                torch.cuda.synchronize()
    events = seen.key_averages()
    counts = {event.key: event.count for event in events}
    order = "self_cuda_time_total" if device == "cuda" else "self_cpu_time_total"
    return {
        "model": shape.title,
        "trials": count,
        "launches_per_step": sum(counts.get(name, 0) for name in LAUNCHES) / steps,
        "waits_per_step": sum(counts.get(name, 0) for name in WAITS) / steps,
        "device_milliseconds_per_step": sum(event.self_device_time_total for event in events) / 1e3 / steps,
        "longest": str(events.table(sort_by=order, row_limit=SHOWN, max_name_column_width=60)).splitlines(),
        "longest_on_host": str(
            events.table(sort_by="self_cpu_time_total", row_limit=SHOWN, max_name_column_width=60)
        ).splitlines(),
    }
