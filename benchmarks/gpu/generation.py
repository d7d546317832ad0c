"""New tokens a second of greedy texts: this engine for one trial and for eight, and transformers' `generate`."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu.device import peak_bytes, start_watching_memory
from benchmarks.gpu.training import EIGHT, SMALL
from benchmarks.gpu.workload import Shape, workload
from benchmarks.measurement import Measurement
from benchmarks.workload import Workload
from persona_sweeps.methods.export import export_adapter
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.loading import BaseModel
from persona_sweeps.prediction.generation import generate, requests
from persona_sweeps.prediction.greedy import Greedy
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.limits import limits_for
from persona_sweeps.training.trial import Trial

PROMPTS, NEW_TOKENS = 64, 64
TINY_PROMPTS, TINY_NEW_TOKENS = 4, 4
ONE_BY_ONE = 2
"""prompts that `generate` answers alone: their time is that of each"""

Way = Callable[[Workload, BaseModel, list[tuple[int, ...]], int], tuple[Measurement, int]]


def rows(device: str, tiny: bool) -> Iterator[tuple[str, Callable[[], dict[str, Any]]]]:
    """Yield the title of each row, and a function that measures it."""
    for shape in (SMALL, EIGHT):
        for name in WAYS:
            yield f"{shape.title}, {name}", lambda shape=shape, name=name: _measure(shape, name, device, tiny)  # type: ignore[misc]


def _measure(shape: Shape, name: str, device: str, tiny: bool) -> dict[str, Any]:
    chosen = workload(shape, device, tiny, trials=8)
    count, new = (TINY_PROMPTS, TINY_NEW_TOKENS) if tiny else (PROMPTS, NEW_TOKENS)
    prompts = [example.tokens[: example.loss_from] for example in chosen.examples[:count]]
    base = chosen.load_base()
    WAYS[name](chosen, base, prompts[:2], 2)
    start_watching_memory(device)
    found, tokens = WAYS[name](chosen, base, prompts, new)
    return {
        "model": shape.title,
        "way": name,
        "new_tokens": tokens,
        "seconds": found.wall_seconds,
        "new_tokens_per_second": tokens / found.wall_seconds,
        "peak_bytes": peak_bytes(device),
    }


def _ours(count: int) -> Way:
    def answer(chosen: Workload, base: BaseModel, prompts: list[tuple[int, ...]], new: int) -> tuple[Measurement, int]:
        adapters = [_adapter(chosen, base, seed) for seed in range(count)]
        ids = [str(index) for index in range(len(prompts))]
        measurement = Measurement()
        with AdapterStack(base.model, adapters) as stack:
            limits = limits_for(chosen.config, chosen.device)
            trials = [Trial(adapter, chosen.train, 0, []) for adapter in adapters]
            engine = Engine(base.model, stack, trials, limits, note=print)
            asked = [request for trial in range(len(adapters)) for request in requests(trial, prompts, ids, 0)]
            with measurement.timed():
                texts = generate(engine, asked, Greedy(method="greedy", max_new_tokens=new), [])
        return measurement, sum(map(len, texts))

    return answer


def _transformers(at_once: int | None) -> Way:
    def answer(chosen: Workload, base: BaseModel, prompts: list[tuple[int, ...]], new: int) -> tuple[Measurement, int]:
        from peft import PeftModel

        measurement, tokens = Measurement(), 0
        base.model.set_attn_implementation(chosen.config.model.attention)
        with tempfile.TemporaryDirectory() as folder:
            export_adapter(_adapter(chosen, base, 0), base.model, chosen.config.model.hub_id, Path(folder) / "adapter")
            model = PeftModel.from_pretrained(base.model, str(Path(folder) / "adapter")).eval()
        batches = [prompts] if at_once is None else [[prompt] for prompt in prompts[:at_once]]
        for batch in batches:
            ids, mask = _padded(batch, base.model.device)
            with measurement.timed(), torch.no_grad():
                found = model.generate(
                    input_ids=ids, attention_mask=mask, max_new_tokens=new, min_new_tokens=new, do_sample=False,
                    pad_token_id=0, eos_token_id=None,
                )  # fmt: skip
            tokens += found[:, ids.shape[1] :].numel()
        model.unload()
        return measurement, tokens

    return answer


def _adapter(chosen: Workload, base: BaseModel, seed: int) -> Adapter:
    return chosen.config.peft.create(base.model, base.tokenizer, seed)


def _padded(prompts: list[tuple[int, ...]], device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids and mask [N, longest], padded on the left."""
    longest = max(map(len, prompts))
    ids = torch.zeros(len(prompts), longest, dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    return ids.to(device), mask.to(device)


WAYS: dict[str, Way] = {
    "this engine, one trial": _ours(1),
    "this engine, eight trials": _ours(8),
    "transformers and PEFT, one batch": _transformers(None),
    "transformers and PEFT, one prompt at a time": _transformers(ONE_BY_ONE),
}
"""who answers the prompts, by the name in the table"""
