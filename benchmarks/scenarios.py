"""What is measured: each scenario is a workload, as overrides of conf/, and the contestants that train it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Scenario:
    """One workload and who trains it.

    The first contestant is the yardstick: the others' CPU seconds are given as multiples of its own. `same_batches`
    names those that see the same batches as the yardstick, so that their first-step losses must be equal.
    """

    name: str
    title: str
    contestants: tuple[str, ...]
    same_batches: frozenset[str]
    overrides: tuple[str, ...]
    trials: int = 1


EXAMPLES = 48
"""training examples of a workload, unless --examples says otherwise"""

COMMON = (
    "model=smollm2_135m_instruct", "device=cpu", "seed=0", "peft=lora", "peft.r=16", "peft.alpha=32",
    "peft.dropout=0", "peft.target_modules=all-linear", "dataset=shakespeare", "dataset.persona=Hamlet",
    "train.epochs=1",
)  # fmt: skip
"""overrides of every workload; whatever they leave out is as in conf/"""

_AGAINST_TRL = {
    "contestants": ("engine", "trl", "trl-packed"),
    "same_batches": frozenset({"engine", "trl"}),
}

_ALL = [
    Scenario(
        name="card",
        title="Long persona card, batch of 8",
        overrides=("dataset.card=long", "train.batch_size=8"),
        **_AGAINST_TRL,  # type: ignore[arg-type]
    ),
    Scenario(
        name="short-card",
        title="One-line card, batch of 8",
        overrides=("dataset.card=short", "train.batch_size=8"),
        **_AGAINST_TRL,  # type: ignore[arg-type]
    ),
    Scenario(
        name="stacked",
        title="Eight LoRA trials, long card, batch of 2, 8 steps",
        contestants=("stacked", "one-by-one"),
        same_batches=frozenset({"stacked", "one-by-one"}),
        overrides=("dataset.card=long", "train.batch_size=2", "train.max_steps=8"),
        trials=8,
    ),
    Scenario(
        name="stacked-lines",
        title="Eight LoRA trials, single lines of at most 64 tokens, batch of 2, 8 steps",
        contestants=("stacked", "one-by-one"),
        same_batches=frozenset({"stacked", "one-by-one"}),
        overrides=(
            "dataset.card=none", "dataset.context_lines=0", "train.max_length=64", "train.batch_size=2",
            "train.max_steps=8",
        ),
        trials=8,
    ),
    Scenario(
        name="commands",
        title="Eight such trials as commands, from start to end",
        contestants=("sweep", "single-runs"),
        same_batches=frozenset({"sweep", "single-runs"}),
        overrides=("dataset.card=long", "train.batch_size=2", "train.max_steps=8"),
        trials=8,
    ),
]  # fmt: skip

SCENARIOS = {scenario.name: scenario for scenario in _ALL}
"""by name, in the order of the page"""

TITLES = {
    "engine": "persona-sweeps",
    "trl": "TRL SFTTrainer",
    "trl-packed": "TRL SFTTrainer, `packing=True`",
    "stacked": "persona-sweeps, stacked",
    "one-by-one": "persona-sweeps, one trial after another",
    "sweep": "`launch.py -m`, eight trials fused",
    "single-runs": "`launch.py`, eight times",
}
"""what the page calls each contestant"""
