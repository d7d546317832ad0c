"""The data, order and settings that every contestant of a scenario shares."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from persona_sweeps.config.schema import Precision, RunConfig, TrainConfig, register_schemas, typed
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.errors import DataError

if TYPE_CHECKING:
    import torch

    from persona_sweeps.models.loading import BaseModel


@dataclass(frozen=True, slots=True)
class Workload:
    """Training examples as tokens, and what to do with them: at most one epoch, a trial for each seed."""

    config: RunConfig
    examples: tuple[TokenSequence, ...]
    seeds: tuple[int, ...]
    device: str = "cpu"

    @property
    def train(self) -> TrainConfig:
        return self.config.train

    @property
    def dtype(self) -> torch.dtype:
        import torch

        return torch.bfloat16 if self.train.precision is Precision.bf16 else torch.float32

    @property
    def steps(self) -> int:
        """Optimizer steps of each trial."""
        from persona_sweeps.training.order import total_steps

        return total_steps(len(self.examples), self.train.batch_size, self.train.epochs, self.train.max_steps)

    def in_order(self, seed: int) -> list[TokenSequence]:
        """Return the examples in the order in which a trial of this seed sees them in its only epoch."""
        from persona_sweeps.training.order import batches, steps_per_epoch

        per_epoch = steps_per_epoch(len(self.examples), self.train.batch_size)
        lengths = [len(example.tokens) for example in self.examples]
        chosen = itertools.islice(batches(lengths, self.train.batch_size, seed, self.steps), per_epoch)
        return [self.examples[index] for batch in chosen for index in batch]

    def load_base(self) -> BaseModel:
        """Load a new frozen base model, without any trace of earlier training."""
        from persona_sweeps.models.loading import load_base

        return load_base(self.config.model, self.dtype, self.device, self.config.quantization)

    def one_step(self) -> Workload:
        """Return the same workload with an end after its first step: a warm-up."""
        return replace(self, config=replace(self.config, train=replace(self.train, max_steps=1)))


def load_workload(overrides: Sequence[str], examples: int, trials: int) -> Workload:
    """Compose conf/ with these overrides and take the first so many of its training examples.

    Raises UserError as a run would, and DataError when there are fewer examples.
    """
    from persona_sweeps.data.prepare import prepare
    from persona_sweeps.models.loading import load_tokenizer, tokenizer_fingerprint

    config = compose_config(overrides)
    tokenizer = load_tokenizer(config.model)
    data = prepare(config, tokenizer, tokenizer_fingerprint(config.model, tokenizer)).train
    if len(data) < examples:
        raise DataError(f"--examples {examples} is more than the {len(data)} training examples that there are.")
    rows = zip(data["input_ids"][:examples], data["loss_from"][:examples], strict=True)
    sequences = tuple(TokenSequence(tuple(ids), loss_from, index) for index, (ids, loss_from) in enumerate(rows))
    return Workload(config, sequences, tuple(range(config.seed, config.seed + trials)))


def compose_config(overrides: Sequence[str]) -> RunConfig:
    """Return conf/ with these overrides as dataclasses."""
    from hydra import compose, initialize_config_dir

    from persona_sweeps.config.folder import conf_folder

    register_schemas()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        return typed(compose("config", list(overrides)))
