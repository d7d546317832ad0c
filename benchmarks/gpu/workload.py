"""Prompts and completions made of random tokens, in the lengths that dialogue has: a card, a scene, a line."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

from benchmarks.workload import Workload, compose_config
from persona_sweeps.data.packing import TokenSequence

CARD, SCENE, LINE = 384, (32, 96), (24, 72)
"""tokens of the card that all prompts share; the fewest and most of a scene, and of a completion"""
FIRST_TOKEN = 300
"""of those drawn: the ones before it are special, or stand for bytes"""
DRAWN = 700
"""tokens that are drawn from: every vocabulary has these"""

COMMON = (
    "model.weights=random", "seed=0", "peft=lora", "peft.r=16", "peft.alpha=32", "peft.dropout=0",
    "peft.target_modules=all-linear", "dataset=shakespeare", "dataset.persona=Hamlet", "train.learning_rate=1e-4",
    "train.epochs=1", "train.batch_size=8", "train.max_length=1024",
)  # fmt: skip
"""overrides of every workload; its examples aren't Hamlet's, which need a package"""


@dataclass(frozen=True, slots=True)
class Shape:
    """A model to be measured, with its quantization, and how much of it is trained and generated."""

    title: str
    model: str
    quantization: str = "none"
    steps: int = 16
    """steps of a trial that are timed"""

    @property
    def overrides(self) -> tuple[str, ...]:
        return f"model={self.model}", f"quantization={self.quantization}"


def sequences(count: int, card: int = CARD, seed: int = 0) -> tuple[TokenSequence, ...]:
    """Return examples behind one card, each with a scene and a completion of its own."""
    rng = random.Random(seed)

    def tokens(length: int) -> list[int]:
        return [FIRST_TOKEN + rng.randrange(DRAWN) for _ in range(length)]

    shared, found = tokens(card), []
    for index in range(count):
        prompt = shared + tokens(rng.randint(*SCENE))
        found.append(TokenSequence((*prompt, *tokens(rng.randint(*LINE))), len(prompt), index))
    return tuple(found)


def workload(shape: Shape, device: str, tiny: bool, trials: int = 1, card: int = CARD, steps: int = 0) -> Workload:
    """Return the shape's workload for trials that each take so many steps (0: those of the shape)."""
    precision = "bf16" if device == "cuda" else "fp32"
    scale = ("model.scale=tiny",) if tiny else ()
    config = compose_config((*COMMON, *shape.overrides, f"train.precision={precision}", f"device={device}", *scale))
    steps = 3 if tiny else steps or shape.steps
    examples = sequences(steps * config.train.batch_size, 32 if tiny else card)
    found = Workload(config, examples, tuple(range(trials)), device)
    return replace(found, config=replace(config, train=replace(config.train, max_steps=steps)))
