"""Check a config before any run starts, where types alone can't: values, and fields against each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from persona_sweeps.config.checks import at_least, one_of, within
from persona_sweeps.config.folder_names import folder_name
from persona_sweeps.config.kinds import FAMILIES, GENERATION, PEFT, SOURCES, TARGET
from persona_sweeps.config.schema import (
    FourBitConfig,
    Int8Config,
    QuantizationConfig,
    RunConfig,
)
from persona_sweeps.errors import ConfigError

KEEP = ("last", "best")
SCHEDULERS = ("cosine", "linear", "constant")
QUANTIZATIONS = {"none": QuantizationConfig, "int8": Int8Config, "nf4": FourBitConfig, "fp4": FourBitConfig}

Check = Callable[[RunConfig], Iterator[str]]
"""yields a sentence for each mistake"""


def validate(config: RunConfig) -> None:
    """Raise ConfigError with every mistake in a run's config, one sentence each."""
    mistakes = [mistake for check in CHECKS for mistake in check(config)]
    if mistakes:
        raise ConfigError(" ".join(mistakes))


def refuse_unknown_keys(container: Mapping[str, Any], config: RunConfig) -> None:
    """Raise ConfigError for keys that the schemas lack: Hydra lets `+key=value` add them, but nothing reads them."""
    for name in _unknown_keys(container, asdict(config), ""):
        raise ConfigError(f"{name} is not a key of this config, and + can't make it one: drop it.")


def _unknown_keys(container: Mapping[str, Any], schema: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, value in container.items():
        if key == TARGET:
            continue
        if key not in schema:
            yield f"{prefix}{key}"
        elif isinstance(value, Mapping) and isinstance(schema[key], Mapping):
            yield from _unknown_keys(value, schema[key], f"{prefix}{key}.")


def _training(config: RunConfig) -> Iterator[str]:
    train = config.train
    yield from one_of("train.scheduler", train.scheduler, SCHEDULERS)
    yield from at_least("train.batch_size", train.batch_size, 1)
    yield from at_least("train.micro_batch_size", train.micro_batch_size, 1)
    yield from at_least("train.max_steps", train.max_steps, 1)
    yield from at_least("train.eval_every", train.eval_every, 0)
    yield from at_least("train.max_length", train.max_length, 8)
    yield from at_least("train.weight_decay", train.weight_decay, 0)
    yield from within("train.warmup_ratio", train.warmup_ratio, 0, 1)
    yield from at_least("train.warmup_steps", train.warmup_steps, 0)
    yield from one_of("train.keep", train.keep, KEEP)
    yield from at_least("train.patience", train.patience, 1)
    if train.monitored and train.eval_every == 0:
        what = "train.keep=best" if train.keep == "best" else f"train.patience={train.patience}"
        yield f"{what} needs evaluations between steps: set train.eval_every to null or a number of steps."
    if not train.epochs > 0:
        yield f"train.epochs={train.epochs:g} must be above 0."
    if train.max_grad_norm is not None and not train.max_grad_norm > 0:
        yield f"train.max_grad_norm={train.max_grad_norm:g} must be above 0; null turns clipping off."
    if config.peft.trains and not (train.learning_rate is not None and train.learning_rate > 0):
        yield f"train.learning_rate={train.learning_rate} must be above 0 with peft={config.peft.method}."
    if train.learning_rate == math.inf:
        yield "train.learning_rate=inf must be finite."


def _kinds(config: RunConfig) -> Iterator[str]:
    """Yield what each kind says about its own keys."""
    for group in (PEFT, SOURCES, GENERATION):
        part = getattr(config, group.name)
        yield from group.check(part)
        yield from part.check(config)
    for kind in (*config.metrics.values(), *config.tracker.values()):
        yield from kind.check(config)
    if getattr(config.peft, "start_from", None) is not None and not config.peft.can_start_from:
        yield (
            f"peft.start_from can't be had with peft={config.peft.method}, whose export doesn't hold all that it "
            "trains: for a whole model, give its folder as model.hub_id."
        )


def _metrics(config: RunConfig) -> Iterator[str]:
    """Require at least one metric that this run can have, and different names for all values."""
    metrics = config.metrics
    if not metrics:
        yield "metrics is empty: choose one or more, such as metrics=[likelihood,overlap]."
    elif not config.peft.has_model and all(metric.needs_model for metric in metrics.values()):
        yield (
            f"peft={config.peft.method} gives texts but no probabilities, which metrics=[{','.join(metrics)}] needs: "
            "add one that scores texts, such as metrics=[likelihood,overlap]."
        )
    sources: dict[str, str] = {}
    for name, metric in metrics.items():
        for value in metric.describe():
            if sources.setdefault(value, name) != name:
                yield f"metrics.{sources[value]} and metrics.{name} both give a value {value}: choose one of them."
                break


def _whole(config: RunConfig) -> Iterator[str]:
    method = config.quantization.method
    yield from one_of("quantization.method", method, tuple(QUANTIZATIONS))
    if type(config.quantization) is not QUANTIZATIONS.get(method, type(config.quantization)):
        yield f"quantization.method={method} lacks its own settings: choose the whole group, quantization={method}."
    yield from at_least("quantization.threshold", getattr(config.quantization, "threshold", None), 0)
    yield from at_least("group_size", config.group_size, 1)
    yield from at_least("seed", config.seed, 0)
    yield from at_least("checkpoint_seconds", config.checkpoint_seconds, 0)
    yield from at_least("show_examples", config.show_examples, 1)
    yield from folder_name("sweep.name", config.sweep.name)
    yield from one_of("model.family", config.model.family, FAMILIES.names())
    virtual = config.peft.virtual_tokens
    new = config.new_tokens
    needed = config.train.max_length + virtual + new
    if needed > config.model.context_length:
        room = config.model.context_length - virtual - new
        cure = f"lower train.max_length to {room}" if room >= 8 else "lower generation.max_new_tokens"
        yield (
            f"train.max_length={config.train.max_length} with {virtual} virtual and {new} new tokens makes {needed}, "
            f"but {config.model.name} attends over {config.model.context_length}: {cure}."
        )


CHECKS: tuple[Check, ...] = (_training, _kinds, _metrics, _whole)
