"""Checks across the fields of a config that types alone can't make; all of them before any run starts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from persona_sweeps import tracking
from persona_sweeps.config.kinds import TARGET
from persona_sweeps.config.schema import (
    FourBitConfig,
    Int8Config,
    NucleusConfig,
    QuantizationConfig,
    RunConfig,
)
from persona_sweeps.errors import ConfigError, did_you_mean
from persona_sweeps.models.families import FAMILIES

SCHEDULERS = ("cosine", "linear", "constant")
QUANTIZATIONS = {"none": QuantizationConfig, "int8": Int8Config, "nf4": FourBitConfig, "fp4": FourBitConfig}

Check = Callable[[RunConfig], Iterator[str]]
"""yields a sentence for each thing that is wrong"""


def validate(config: RunConfig) -> None:
    """Raise ConfigError with every mistake in a run's config, one sentence each."""
    mistakes = [mistake for check in CHECKS for mistake in check(config)]
    if mistakes:
        raise ConfigError(" ".join(mistakes))
    tracking.check(config.tracker)


def refuse_strangers(container: Mapping[str, Any], config: RunConfig) -> None:
    """Raise ConfigError for keys that the schemas lack: Hydra lets `+key=value` add them, and nothing reads them."""
    known = asdict(config)
    for name in _strangers(container, known, ""):
        raise ConfigError(f"{name} is not a key of this config, and + can't make it one: drop it.")


def _strangers(container: Mapping[str, Any], known: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in container.items():
        if key == TARGET:
            continue
        if key not in known:
            yield f"{prefix}{key}"
        elif isinstance(value, Mapping) and isinstance(known[key], Mapping):
            yield from _strangers(value, known[key], f"{prefix}{key}.")


def _one_of(key: str, value: str, known: tuple[str, ...]) -> Iterator[str]:
    if value not in known:
        yield f"{key}={value} is unknown: choose one of {', '.join(known)}.{did_you_mean(value, known)}"


def _at_least(key: str, value: float | None, minimum: float) -> Iterator[str]:
    if value is not None and not value >= minimum:
        yield f"{key}={value:g} must be at least {minimum:g}."


def _within(key: str, value: float, low: float, high: float) -> Iterator[str]:
    if not low <= value <= high:
        yield f"{key}={value:g} must lie between {low:g} and {high:g}."


def _training(config: RunConfig) -> Iterator[str]:
    train = config.train
    yield from _one_of("train.scheduler", train.scheduler, SCHEDULERS)
    yield from _at_least("train.batch_size", train.batch_size, 1)
    yield from _at_least("train.micro_batch_size", train.micro_batch_size, 1)
    yield from _at_least("train.max_steps", train.max_steps, 1)
    yield from _at_least("train.eval_every", train.eval_every, 0)
    yield from _at_least("train.max_length", train.max_length, 8)
    yield from _at_least("train.weight_decay", train.weight_decay, 0)
    yield from _within("train.warmup_ratio", train.warmup_ratio, 0, 1)
    if not train.epochs > 0:
        yield f"train.epochs={train.epochs:g} must be above 0."
    if train.max_grad_norm is not None and not train.max_grad_norm > 0:
        yield f"train.max_grad_norm={train.max_grad_norm:g} must be above 0; null turns clipping off."
    if config.peft.trains and not (train.learning_rate is not None and train.learning_rate > 0):
        yield f"train.learning_rate={train.learning_rate} must be above 0 with peft={config.peft.method}."


def _peft(config: RunConfig) -> Iterator[str]:
    yield from config.peft.check(config)


def _reference(config: RunConfig) -> Iterator[str]:
    """What a method can't measure that trains nothing."""
    if not config.peft.has_model and config.metrics.overlap is None:
        yield (
            f"peft={config.peft.method} has texts and no probabilities, so only metrics of overlap can score it: set "
            "metrics=[likelihood,overlap]."
        )
    likelihood = config.metrics.likelihood
    if config.peft.shots and likelihood is not None and likelihood.all_tokens:
        yield (
            "metrics.likelihood.all_tokens=true would score the shots of peft=few_shot with every prompt: set it to "
            "false."
        )


def _dataset(config: RunConfig) -> Iterator[str]:
    data = config.dataset
    yield from _one_of("dataset.loss_on", data.loss_on, ("completion", "all_tokens"))
    yield from _at_least("dataset.limit", data.limit, 1)
    yield from _at_least("dataset.eval_limit", data.eval_limit, 1)
    yield from _one_of("dataset.evaluate_on", data.evaluate_on, ("test", "validation"))
    for key in ("eval_fraction", "validation_fraction"):
        if not 0 < getattr(data, key) < 1:
            yield f"dataset.{key}={getattr(data, key):g} must lie between 0 and 1, both excluded."


def _generation(config: RunConfig) -> Iterator[str]:
    generation = config.generation
    yield from _at_least("generation.max_new_tokens", generation.max_new_tokens, 1)
    if isinstance(generation, NucleusConfig):
        if not generation.temperature > 0:
            yield f"generation.temperature={generation.temperature:g} must be above 0; generation=greedy is its limit."
        if not 0 < generation.top_p <= 1:
            yield f"generation.top_p={generation.top_p:g} must be above 0 and at most 1."


def _whole(config: RunConfig) -> Iterator[str]:
    method = config.quantization.method
    yield from _one_of("quantization.method", method, tuple(QUANTIZATIONS))
    if type(config.quantization) is not QUANTIZATIONS.get(method, type(config.quantization)):
        yield f"quantization.method={method} lacks the settings of its own: choose the whole, quantization={method}."
    yield from _at_least("quantization.threshold", getattr(config.quantization, "threshold", None), 0)
    yield from _at_least("group_size", config.group_size, 1)
    if not re.fullmatch(r"\w[\w.+-]*", config.sweep.name):
        yield f"sweep.name={config.sweep.name} can't name a folder: use letters, digits, '_', '-', '+' and '.'."
    if config.metrics.likelihood is None and config.metrics.overlap is None:
        yield "metrics is empty: choose metrics=[likelihood,overlap] or one of them."
    yield from _one_of("model.family", config.model.family, FAMILIES)
    virtual = config.peft.virtual_tokens
    new = config.generation.max_new_tokens if config.metrics.overlap is not None else 0
    needed = config.train.max_length + virtual + new
    if needed > config.model.context_length:
        yield (
            f"train.max_length={config.train.max_length} with {virtual} virtual and {new} new tokens makes {needed}, "
            f"but {config.model.name} attends over {config.model.context_length}: lower train.max_length to "
            f"{config.model.context_length - virtual - new}."
        )


CHECKS: tuple[Check, ...] = (_training, _peft, _reference, _dataset, _generation, _whole)
