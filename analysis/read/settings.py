"""What was tried, in words: a setting is a config less its seed, with the runs that repeat it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from persona_sweeps.config.kinds import kind_of

from ..statistics.spread import Spread, spread
from .results import Record

_BESIDE_THE_POINT = (
    "seed",
    "sweep",
    "tracker",
    "device",
    "output_dir",
    "show_examples",
    "group_size",
    "checkpoint_seconds",
)
_OF_AN_UNTUNED_BASE = ("max_length", "precision")
_FINGERPRINTS = ("data_fingerprint", "template_fingerprint", "model_fingerprint")


Label = Callable[[Mapping[str, Any]], str]


def _pairs(name: str) -> Label:
    def label(peft: Mapping[str, Any]) -> str:
        init = f" {peft['init']}" if peft.get("init", "default") != "default" else ""
        return f"{name} r={peft.get('r')} α={plain(peft.get('alpha'))}{init}"

    return label


def _virtual(name: str) -> Label:
    return lambda peft: f"{name} {peft.get('num_virtual_tokens')} tokens"


METHOD_LABELS: dict[str, Label] = {
    "none": lambda peft: "untuned",
    "few_shot": lambda peft: f"few-shot, {peft.get('shots')} shots",
    "nearest_reply": lambda peft: "nearest reply",
    "lora": _pairs("LoRA"),
    "rslora": _pairs("rsLoRA"),
    "dora": _pairs("DoRA"),
    "ia3": lambda peft: "(IA)³",
    "prompt_tuning": _virtual("prompt tuning"),
    "p_tuning": _virtual("P-tuning"),
    "prefix_tuning": _virtual("prefix tuning"),
    "lora_prompt": lambda peft: f"{_pairs('LoRA')(peft)} + {_virtual('prompt')(peft)}",
    "full": lambda peft: "full fine-tuning",
}
"""How each `peft.method` is told with its settings; any other is told as its name and all it says."""


@dataclass(frozen=True)
class Setting:
    """One config, whatever its seed; `extra` tells apart settings that would read the same in a table."""

    records: tuple[Record, ...]
    config: Mapping[str, Any]
    extra: str = ""

    @property
    def first(self) -> Record:
        return self.records[0]

    @property
    def method(self) -> str:
        return str(self.first.get("config.peft.method", "?"))

    @property
    def label(self) -> str:
        """The method with its settings, such as `LoRA r=8 α=16`."""
        return f"{_label(self.first)} {self.extra}".strip()

    @property
    def learning_rate(self) -> float | None:
        """The learning rate that was used; None where nothing was trained."""
        return effective_learning_rate(self.first) if kind_of(self.method).trains else None

    @property
    def seeds(self) -> list[Any]:
        return [record.get("config.seed") for record in self.records]

    def spread(self, dotted: str) -> Spread | None:
        """Return mean and deviation of a number over the runs that have it; None when none has."""
        values = [record.number(dotted) for record in self.records]
        return spread([value for value in values if value is not None])


def settings(records: Sequence[Record]) -> list[Setting]:
    """Group runs by everything but their seed, in order of first appearance."""
    by_key: dict[str, list[Record]] = {}
    configs: dict[str, Mapping[str, Any]] = {}
    for record in records:
        config = _setting_config(record)
        key = json.dumps(config, sort_keys=True, default=str)
        by_key.setdefault(key, []).append(record)
        configs[key] = config
    return _told_apart([Setting(tuple(runs), configs[key]) for key, runs in by_key.items()])


def has_model(record: Record) -> bool:
    """Whether a run's texts are a model's, and not copied from the training examples."""
    return kind_of(str(record.get("config.peft.method"))).has_model


def model_label(record: Record) -> str:
    """Return the model's name, with its quantization and `(tiny)` where they aren't the usual; "no model" without."""
    if not has_model(record):
        return "no model"
    name = str(record.get("config.model.name", "?"))
    quantization = record.get("config.quantization.method", "none")
    parts = [name] if quantization in ("none", None) else [name, str(quantization)]
    return " ".join([*parts, "(tiny)"] if record.get("config.model.scale") == "tiny" else parts)


def dataset_label(record: Record) -> str:
    """Return the data source and, where there is one, the persona; "(validation)" where that part was evaluated."""
    source, persona = record.get("config.dataset.source", "?"), record.get("config.dataset.persona")
    label = f"{source}, {persona}" if persona else str(source)
    return f"{label} (validation)" if record.get("config.dataset.evaluate_on") == "validation" else label


def effective_learning_rate(record: Record) -> float | None:
    """Return `train.learning_rate`, or the method's own where that is null."""
    asked = record.number("config.train.learning_rate")
    return asked if asked is not None else record.number("config.peft.learning_rate")


def _label(record: Record) -> str:
    peft = record.get("config.peft", {})
    if not isinstance(peft, Mapping):
        return "?"
    method = str(peft.get("method", "?"))
    if method in METHOD_LABELS:
        return METHOD_LABELS[method](peft)
    told = [f"{key}={plain(value)}" for key, value in peft.items() if key not in ("method", "learning_rate")]
    return " ".join([method, *told])


def _setting_config(record: Record) -> dict[str, Any]:
    """Return the part of a config that makes two runs seeds of one setting, and what else their results hang on."""
    config = {key: value for key, value in record.raw["config"].items() if key not in _BESIDE_THE_POINT}
    peft, train = config.get("peft"), config.get("train")
    if isinstance(peft, Mapping) and isinstance(train, Mapping):
        config["train"] = {**train, "learning_rate": effective_learning_rate(record)}
        config["peft"] = {key: value for key, value in peft.items() if key != "learning_rate"}
        if not kind_of(str(peft.get("method"))).trains:
            config["train"] = {key: train.get(key) for key in _OF_AN_UNTUNED_BASE}
    config["fingerprint"] = {key: str(record.get(f"provenance.{key}"))[:12] for key in _FINGERPRINTS}
    config["comparability_key"] = record.get("comparability_key")
    return config


def _told_apart(found: Sequence[Setting]) -> list[Setting]:
    """Name, in settings that would read the same, the config values in which they differ."""
    alike: dict[tuple[object, ...], list[Setting]] = {}
    for setting in found:
        first = setting.first
        shown = (first.get("comparability_key"), model_label(first), _label(first), setting.learning_rate)
        alike.setdefault(shown, []).append(setting)
    extras: dict[int, str] = {}
    for group in alike.values():
        if len(group) == 1:
            extras[id(group[0])] = ""
            continue
        flats = [flat(setting.config) for setting in group]
        keys = sorted({key for values in flats for key in values})
        differing = [key for key in keys if len({json.dumps(values.get(key), default=str) for values in flats}) > 1]
        for setting, values in zip(group, flats, strict=True):
            extras[id(setting)] = " ".join(f"{key}={plain(values.get(key))}" for key in differing)
    return [Setting(setting.records, setting.config, extras[id(setting)]) for setting in found]


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a nested config by dotted keys."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def plain(value: Any) -> str:
    """Return a value as an override has it: 16.0 as 16, a list with brackets, null for None."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{','.join(map(plain, value))}]"
    return "null" if value is None else str(value)
