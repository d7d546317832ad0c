"""Checks across the fields of a config that types alone can't make; all of them before any run starts."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

from persona_sweeps import tracking
from persona_sweeps.config.checks import at_least, one_of, within
from persona_sweeps.config.kinds import FAMILIES, GENERATION, SOURCES, TARGET
from persona_sweeps.config.schema import (
    FewShotConfig,
    FourBitConfig,
    Ia3Config,
    Int8Config,
    LoraConfig,
    LoraPromptConfig,
    PromptTuningConfig,
    PTuningConfig,
    QuantizationConfig,
    RunConfig,
)
from persona_sweeps.errors import ConfigError

METHODS = (
    "none", "few_shot", "nearest_reply",
    "lora", "rslora", "dora", "ia3", "prompt_tuning", "p_tuning", "prefix_tuning", "lora_prompt", "full",
)  # fmt: skip
LORA_INITS = ("default", "pissa", "olora")
PROMPT_INITS = ("sample_vocab", "text", "random")
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
    if not train.epochs > 0:
        yield f"train.epochs={train.epochs:g} must be above 0."
    if train.max_grad_norm is not None and not train.max_grad_norm > 0:
        yield f"train.max_grad_norm={train.max_grad_norm:g} must be above 0; null turns clipping off."
    if config.peft.trains and not (train.learning_rate is not None and train.learning_rate > 0):
        yield f"train.learning_rate={train.learning_rate} must be above 0 with peft={config.peft.method}."


def _peft(config: RunConfig) -> Iterator[str]:
    peft = config.peft
    yield from one_of("peft.method", peft.method, METHODS)
    for kind, check in PEFT_CHECKS.items():
        if isinstance(peft, kind):
            yield from check(peft)
    if peft.method == "full" and config.quantization.method != "none":
        yield (
            f"peft=full trains the base model's own weights, and quantization={config.quantization.method} freezes "
            "them: set quantization=none, or train an adapter such as peft=lora."
        )


def _few_shot(peft: FewShotConfig) -> Iterator[str]:
    yield from at_least("peft.shots", peft.shots, 1)


def _lora(peft: LoraConfig) -> Iterator[str]:
    yield from one_of("peft.init", peft.init, LORA_INITS)
    yield from at_least("peft.r", peft.r, 1)
    if not 0 <= peft.dropout < 1:
        yield f"peft.dropout={peft.dropout:g} must be at least 0 and below 1."
    if not peft.alpha > 0:
        yield f"peft.alpha={peft.alpha:g} must be above 0."
    yield from _targets("peft.target_modules", peft.target_modules)


def _lora_prompt(peft: LoraPromptConfig) -> Iterator[str]:
    yield from _virtual_tokens(peft.num_virtual_tokens)
    yield from _prompt_init("peft.prompt_init", peft.prompt_init, peft.init_text)
    if not peft.prompt_rate_ratio > 0:
        yield f"peft.prompt_rate_ratio={peft.prompt_rate_ratio:g} must be above 0."


def _ia3(peft: Ia3Config) -> Iterator[str]:
    if peft.target_modules is not None:
        yield from _targets("peft.target_modules", peft.target_modules)
    if peft.feedforward_modules:
        yield from _targets("peft.feedforward_modules", peft.feedforward_modules)
        if peft.target_modules is None:
            yield "peft.feedforward_modules has no effect without peft.target_modules: name all layers there too."


def _prompt_tuning(peft: PromptTuningConfig) -> Iterator[str]:
    yield from _virtual_tokens(peft.num_virtual_tokens)
    yield from _prompt_init("peft.init", peft.init, peft.init_text)


def _p_tuning(peft: PTuningConfig) -> Iterator[str]:
    yield from _virtual_tokens(peft.num_virtual_tokens)
    yield from at_least("peft.encoder_hidden_size", peft.encoder_hidden_size, 1)


PEFT_CHECKS: dict[type, Callable[[Any], Iterator[str]]] = {
    FewShotConfig: _few_shot,
    LoraConfig: _lora,
    LoraPromptConfig: _lora_prompt,
    Ia3Config: _ia3,
    PromptTuningConfig: _prompt_tuning,
    PTuningConfig: _p_tuning,
}
"""what can be wrong in each kind of peft config, those of its base classes too"""


def _virtual_tokens(count: int) -> Iterator[str]:
    yield from at_least("peft.num_virtual_tokens", count, 1)


def _prompt_init(key: str, init: str, text: str | None) -> Iterator[str]:
    yield from one_of(key, init, PROMPT_INITS)
    if init == "text" and not (text or "").strip():
        yield f"{key}=text needs the text to start from: set peft.init_text."
    if init != "text" and text is not None:
        yield f"peft.init_text has no effect with {key}={init}: set {key}=text or drop it."


def _targets(key: str, value: Any) -> Iterator[str]:
    """A name, a list of names, or a pattern that compiles."""
    if not isinstance(value, str | list) or not value or not all(isinstance(name, str) for name in value):
        yield f"{key}={value} must be all-linear, a list of names, or a pattern."
    elif isinstance(value, str):
        try:
            re.compile(value)
        except re.error as error:
            yield f"{key}={value} is no regular expression ({error}): use all-linear, a list of names, or mend it."


def _kinds(config: RunConfig) -> Iterator[str]:
    """What the parts say themselves that know themselves."""
    for group in (SOURCES, GENERATION):
        part = getattr(config, group.name)
        yield from group.check(part)
        yield from part.check(config)
    for metric in config.metrics.values():
        yield from metric.check(config)
    if not config.metrics:
        yield "metrics is empty: choose one or more, such as metrics=[likelihood,overlap]."
    elif not config.peft.has_model and all(metric.needs_model for metric in config.metrics.values()):
        yield (
            f"peft={config.peft.method} has texts and no probabilities, and metrics=[{','.join(config.metrics)}] can't "
            "do without them: add one that scores texts, such as metrics=[likelihood,overlap]."
        )


def _whole(config: RunConfig) -> Iterator[str]:
    method = config.quantization.method
    yield from one_of("quantization.method", method, tuple(QUANTIZATIONS))
    if type(config.quantization) is not QUANTIZATIONS.get(method, type(config.quantization)):
        yield f"quantization.method={method} lacks the settings of its own: choose the whole, quantization={method}."
    yield from at_least("quantization.threshold", getattr(config.quantization, "threshold", None), 0)
    yield from at_least("group_size", config.group_size, 1)
    if not re.fullmatch(r"\w[\w.+-]*", config.sweep.name):
        yield f"sweep.name={config.sweep.name} can't name a folder: use letters, digits, '_', '-', '+' and '.'."
    yield from one_of("model.family", config.model.family, FAMILIES.names())
    virtual = getattr(config.peft, "num_virtual_tokens", 0)
    new = config.new_tokens
    needed = config.train.max_length + virtual + new
    if needed > config.model.context_length:
        yield (
            f"train.max_length={config.train.max_length} with {virtual} virtual and {new} new tokens makes {needed}, "
            f"but {config.model.name} attends over {config.model.context_length}: lower train.max_length to "
            f"{config.model.context_length - virtual - new}."
        )


CHECKS: tuple[Check, ...] = (_training, _peft, _kinds, _whole)
