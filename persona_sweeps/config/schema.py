"""A run's schema, registered with Hydra; `RunConfig` is one cell of a sweep.

The YAML files under conf/ hold the values and explain the keys; dataclasses hold the types. A kind (config/kinds.py) is
its own dataclass; the others are here. A field that only one option of a group has is in a subclass named after it.
"""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf, open_dict, read_write

from persona_sweeps.config.kinds import GENERATION, GROUPS, PEFT, SOURCES, TARGET, KindGroup
from persona_sweeps.config.max_length import resolve_max_length
from persona_sweeps.config.sweep_name import sweep_name
from persona_sweeps.errors import ConfigError

if TYPE_CHECKING:
    from persona_sweeps.metrics.metric import Request


class Scale(StrEnum):
    """Full size, or the tiny twin: the same architecture class, a few small layers, seeded random weights."""

    full = "full"
    tiny = "tiny"


class WeightsKind(StrEnum):
    """The model's own weights, or random ones in their shapes, with which speed and memory can be measured anywhere."""

    pretrained = "pretrained"
    random = "random"


class Precision(StrEnum):
    """Arithmetic of the frozen base model; adapters are always stored in fp32."""

    auto = "auto"
    bf16 = "bf16"
    fp32 = "fp32"


class DeviceKind(StrEnum):
    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class PlanMode(StrEnum):
    """Whether a command trains, or only reports its plan or the state of its runs."""

    run = "run"
    only = "only"


class ChatStyle(StrEnum):
    """The style of the tiny twin's chat template; the full model brings its own template."""

    none = "none"
    chatml = "chatml"
    gemma = "gemma"


@dataclass
class EmbeddedConfig:
    """A package that carries the weights as a GGUF file."""

    package: str = MISSING
    file: str = MISSING
    parts: list[str] = field(default_factory=list)


@dataclass
class ArchitectureConfig:
    """The shape of a model's weights."""

    hub_id: str = MISSING
    hidden_size: int = MISSING
    intermediate_size: int = MISSING
    layers: int = MISSING
    heads: int = MISSING
    kv_heads: int = MISSING
    head_dim: int = MISSING
    vocab_size: int = MISSING
    tied_embeddings: bool = MISSING


@dataclass
class ModelConfig:
    name: str = MISSING
    hub_id: str = MISSING
    revision: str = "main"
    family: str = MISSING
    instruct: bool = MISSING
    counterpart: str | None = None
    licence: str = MISSING
    gated: bool = False
    context_length: int = MISSING
    chat_style: ChatStyle = MISSING
    attention: str = "sdpa"
    linear_layers: list[str] = field(default_factory=list)
    architecture: ArchitectureConfig | None = None
    embedded: EmbeddedConfig | None = None
    weights: WeightsKind = WeightsKind.pretrained
    scale: Scale = Scale.full


@dataclass
class QuantizationConfig:
    method: str = MISSING


@dataclass
class Int8Config(QuantizationConfig):
    threshold: float = MISSING


@dataclass
class FourBitConfig(QuantizationConfig):
    """NF4 and FP4."""

    double_quant: bool = MISSING


if TYPE_CHECKING:
    Length = int
else:
    Length = Any  # it may be written as auto; a number stands there before anything reads it


@dataclass
class TrainConfig:
    learning_rate: float | None = MISSING
    epochs: float = MISSING
    max_steps: int | None = None
    batch_size: int = MISSING
    micro_batch_size: int | None = None
    warmup_ratio: float = MISSING
    scheduler: str = MISSING
    weight_decay: float = MISSING
    max_grad_norm: float | None = MISSING
    max_length: Length = MISSING
    precision: Precision = MISSING
    eval_every: int | None = None
    eval_at_start: bool = False
    keep: str = "last"
    patience: int | None = None
    warmup_steps: int | None = None

    @property
    def monitored(self) -> bool:
        """Whether a validation part decides when training stops, or which of its steps is kept."""
        return self.keep == "best" or self.patience is not None


@dataclass
class SweepConfig:
    name: str = MISSING


@dataclass
class RunConfig:
    checkpoint_seconds: float | None = MISSING
    model: ModelConfig = MISSING
    quantization: QuantizationConfig = MISSING
    peft: Any = MISSING
    """a config.predictor.Predictor"""
    methods: dict[str, Any] = field(default_factory=dict)
    """method → keys of `peft` that it has in a sweep over several methods"""
    dataset: Any = MISSING
    """a data.source.Source"""
    metrics: Any = MISSING
    """name → metrics.metric.Metric"""
    generation: Any = MISSING
    """a prediction.decoding.Generation"""
    train: TrainConfig = MISSING
    tracker: Any = MISSING
    """name → tracking.tracker.Tracker"""
    sweep: SweepConfig = MISSING
    seed: int = MISSING
    device: DeviceKind = DeviceKind.auto
    output_dir: str = MISSING
    show_examples: int | None = None
    plan: PlanMode = PlanMode.run
    status: PlanMode = PlanMode.run
    group_size: int = MISSING

    @property
    def only_reports(self) -> bool:
        """Whether this command reports something and runs nothing."""
        reported = self.show_examples is not None or self.dataset.report == "only"
        return PlanMode.only in (self.plan, self.status) or reported

    @property
    def requests(self) -> tuple[Request, ...]:
        """The metrics' requests to the predictor, each of them once."""
        return tuple(dict.fromkeys(request for metric in self.metrics.values() for request in metric.requests()))

    @property
    def new_tokens(self) -> int:
        """The most tokens generated after a prompt; 0 if no metric needs texts."""
        return self.generation.max_new_tokens if any(request.kind == "text" for request in self.requests) else 0


SCHEMAS: dict[str, dict[str, type]] = {
    "model": {"card": ModelConfig},
    "quantization": {"none": QuantizationConfig, "int8": Int8Config, "four_bit": FourBitConfig},
}
"""group → schema by the name that an option's YAML file has in its defaults list"""


def register_schemas() -> None:
    """Register the types with Hydra: the run as `schema/run`, an option as `schema/<group>/<option>`.

    And what names a sweep that has no name, from the command.
    """
    OmegaConf.register_new_resolver("sweep_name", lambda: sweep_name(sys.argv[1:]), replace=True)
    store = ConfigStore.instance()
    store.store(group="schema", name="run", node=RunConfig, package="_global_")
    for group, options in SCHEMAS.items():
        for option, node in options.items():
            store.store(group=f"schema/{group}", name=option, node=node)
    for kinds in (PEFT, SOURCES, GENERATION):
        for name in kinds.builtin:
            store.store(group=f"schema/{kinds.name}", name=name, node=kinds.find(name))


def typed(config: DictConfig) -> RunConfig:
    """Return a composed config as dataclasses, with every interpolation resolved.

    A part whose YAML file has no schema (it names its class with `_target_`, or a kind of another package) is a plain
    mapping. Its kind's defaults are filled into `config` itself, so that interpolations and records find all keys.
    A metric that is null is removed from `config`, and a number stands in place of `train.max_length=auto`.
    Raises ConfigError for a kind or key that doesn't exist, and `omegaconf.errors.OmegaConfBaseException` for a missing
    mandatory value or one of the wrong type.
    """
    _drop_null_metrics(config)
    with read_write(config):
        config.train.max_length = resolve_max_length(config.train.max_length, config.model.context_length)
    made = {path: _make(config, group, path) for group in GROUPS for path in _plain_parts(config, group)}
    run: Any = OmegaConf.to_object(config)
    for path, kind in made.items():
        group, _, name = path.partition(".")
        if name:
            getattr(run, group)[name] = kind
        else:
            setattr(run, group, kind)
    return run


def read_config(path: Path) -> RunConfig:
    """Return the config of a run as its folder's .hydra/config.yaml has it. Raises as `typed` does, and OSError."""
    stored = cast("DictConfig", OmegaConf.load(path))
    if "kind" in (tracker := stored.get("tracker") or {}):  # until November 2026 a run had one tracker
        stored["tracker"] = {tracker.pop("kind"): tracker}
    config = OmegaConf.structured(RunConfig)
    for group, options in SCHEMAS.items():  # the merge keeps the classes that it finds
        keys = set(stored[group])
        config[group] = next(one for one in options.values() if keys <= {key.name for key in fields(one)})
    return typed(OmegaConf.merge(config, stored))  # type: ignore[arg-type]


def _drop_null_metrics(config: DictConfig) -> None:
    metrics = config.get("metrics")
    if isinstance(metrics, DictConfig):
        with read_write(config), open_dict(config):
            for name in [name for name, metric in metrics.items() if metric is None]:
                del metrics[name]


def _plain_parts(config: DictConfig, group: KindGroup) -> list[str]:
    """Return the dotted paths of a group's kinds that are plain mappings without a schema."""
    if OmegaConf.is_missing(config, group.name):
        return []
    node = config[group.name]
    if group.key is not None:
        return [group.name] if OmegaConf.get_type(node) is dict else []
    if OmegaConf.get_type(node) is not dict:
        return []
    return [f"{group.name}.{name}" for name in node]


def _make(config: DictConfig, group: KindGroup, path: str) -> Any:
    """Return the kind that a plain mapping describes, and fill its defaults into the config."""
    node = OmegaConf.select(config, path)
    if not isinstance(node, DictConfig):
        raise ConfigError(f"{path}={node} must be a mapping of keys, or null to drop it.")
    name = path.partition(".")[2] if group.key is None else str(node.get(group.key))
    values = OmegaConf.to_container(node, resolve=True)
    assert isinstance(values, dict)
    kind = group.make(name, {str(key): value for key, value in values.items()})
    target = {TARGET: values[TARGET]} if TARGET in values else {}
    filled = target | asdict(kind)
    if repr(sorted(values.items())) == repr(sorted(filled.items())):  # the file has every key, and no 1 for a 1.0
        return kind
    with read_write(config), open_dict(config):
        OmegaConf.update(config, path, filled, merge=False)
    return kind
