"""Train a tiny twin with so many MiB of address space to spare, and print what came of it as JSON."""

from __future__ import annotations

import json
import random
import re
import resource
import sys
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from persona_sweeps.config.folder import conf_folder
from persona_sweeps.config.schema import register_schemas, typed
from persona_sweeps.data.packing import TokenSequence
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.training.engine import Engine
from persona_sweeps.training.limits import Limits
from persona_sweeps.training.trial import Trial
from tests.toolbox import LORA, adapter_of, trained_with

EXAMPLES, TOKENS = 8, 480


def load() -> BaseModel:
    register_schemas()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        config = typed(compose("config", ["model.scale=tiny"]))
    return load_base(config.model, torch.float32, "cpu")


def train(base: BaseModel, sequences: list[TokenSequence], limits: Limits) -> tuple[list[float], list[str]]:
    """Return the losses of a few steps, and the messages."""
    trial = Trial(adapter_of(base, LORA), trained_with(max_steps=4, batch_size=EXAMPLES), 0, sequences)
    losses: list[float] = []
    messages: list[str] = []
    with AdapterStack(base.model, [trial.adapter]) as stack:
        engine = Engine(base.model, stack, [trial], limits, messages.append)
        engine.train(lambda _, values: losses.append(values["train_nll"]))
    return losses, messages


def allow(spare_mib: int) -> None:
    """Let this process take so much more address space than it has."""
    found = re.search(r"VmSize:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found is not None
    limit = int(found[1]) * 1024 + (spare_mib << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main(spare_mib: int) -> None:
    torch.set_num_threads(1)
    rng = random.Random(0)
    sequences = [
        TokenSequence(tuple(rng.randrange(7, 1000) for _ in range(TOKENS)), TOKENS // 2, index)
        for index in range(EXAMPLES)
    ]
    base = load()
    train(base, [TokenSequence(sequences[0].tokens[:20], 10)], Limits())  # whatever torch sets up once
    allow(spare_mib)
    limits = Limits()
    losses, messages = train(base, sequences, limits)
    print(json.dumps({"losses": losses, "messages": messages, "examples": limits.training.examples}))


if __name__ == "__main__":
    main(int(sys.argv[1]))
