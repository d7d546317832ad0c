"""A GPU that runs out of memory trains in smaller passes, with the same result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
import torch

from persona_sweeps.config.schema import ModelConfig
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.trial import Trial
from tests.toolbox import LORA, adapter_of, trained_with

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")]
ROOM = 1 << 30
"""bytes beside the weights and adapters, where the whole step takes several times as much"""


@pytest.fixture
def base(compose_card: Callable[..., ModelConfig]) -> BaseModel:
    return load_base(compose_card("smollm2_135m", "weights=random"), torch.float32, "cuda")


@pytest.fixture
def little_memory() -> Iterator[Callable[[], None]]:
    """A function that leaves this process `ROOM` beyond what it has taken."""

    def limit() -> None:
        torch.cuda.empty_cache()
        wanted = torch.cuda.memory_reserved() + ROOM
        torch.cuda.set_per_process_memory_fraction(wanted / torch.cuda.get_device_properties(0).total_memory)

    yield limit
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


def train(base: BaseModel, sequences: list[TokenSequence], prepare: Callable[[], None]) -> tuple[list, list[str]]:
    config = trained_with(max_steps=2, batch_size=20, learning_rate=1e-4)
    adapters = [adapter_of(base, LORA, seed, spread=None) for seed in range(4)]
    logged: list[tuple[int, float]] = []
    notes: list[str] = []
    with AdapterStack(base.model, adapters) as stack:
        trials = [Trial(adapter, config, seed, sequences) for seed, adapter in enumerate(adapters)]
        prepare()
        Engine(base.model, stack, trials, note=notes.append).train(
            lambda index, values: logged.append((index, values["train_nll"]))
        )
    assert all(trial.failure is None for trial in trials), [trial.failure for trial in trials]
    return logged, notes


def test_running_out_of_memory_changes_no_result(
    base: BaseModel, sequences: list[TokenSequence], little_memory: Callable[[], None]
) -> None:
    longer = [
        replace(s, tokens=s.tokens[: s.loss_from] + s.tokens[s.loss_from :] * 8, index=10 * n + i)
        for n in range(4)
        for i, s in enumerate(sequences)
    ]
    expected, none = train(base, longer, lambda: None)
    found, notes = train(base, longer, little_memory)
    assert not none and notes and "Out of memory while training" in notes[0]
    for (index, ours), (same, reference) in zip(found, expected, strict=True):
        assert index == same and ours == pytest.approx(reference, rel=1e-4)
