"""Find a kind by name: a method, metric, data source, generation or model family is one class that knows itself.

A kind is a dataclass. Its fields are the keys of its YAML file; its methods are all that the project knows of it. This
module names the built-in kinds as `module:Class`, so that looking up a name imports nothing else. Another package adds
its kinds by an entry point (`persona_sweeps.metrics`, …); a YAML file by `_target_: my_package.my_module.MyClass`.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from omegaconf import DictConfig, OmegaConf

from persona_sweeps.config.checks import one_of
from persona_sweeps.errors import ConfigError, did_you_mean

TARGET = "_target_"
"""the key with which a YAML file names a class outside this package"""


@dataclass(frozen=True, slots=True)
class KindGroup:
    """The kinds that one config group chooses from."""

    name: str
    """name of the config group"""
    key: str | None
    """the key that names the kind (peft.method); None if the group maps names to kinds (metrics, tracker)"""
    entry_points: str
    """the entry point group in which other packages register their kinds"""
    base: str
    """module:Class that all of them subclass"""
    builtin: Mapping[str, str] = field(default_factory=dict)
    """name → module:Class"""
    _made: dict[tuple[str, str], Any] = field(default_factory=dict, repr=False, compare=False)
    """kinds by name and keys, since most cells of a sweep have the same"""

    def names(self) -> list[str]:
        """Return the names of all kinds, including those of other packages."""
        return [*self.builtin, *(point.name for point in _registered(self.entry_points))]

    def find(self, name: str) -> type:
        """Return the class of a kind. Raises ConfigError for a name that nobody registered."""
        if name in self.builtin:
            return _load(self.builtin[name])
        for point in _registered(self.entry_points):
            if point.name == name:
                return point.load()
        key = f"{self.name}.{self.key}" if self.key else self.name
        raise ConfigError(" ".join(one_of(key, name, self.names())))

    def make(self, name: str, values: Mapping[str, Any]) -> Any:
        """Return a kind whose keys have these values, checked against its fields.

        `values` may name another class with `_target_`. Raises ConfigError for a class that can't be imported or a key
        that the class lacks, and `omegaconf.errors.OmegaConfBaseException` for a value of the wrong type.
        """
        key = name, repr(values)
        if key not in self._made:
            self._made[key] = self._make(name, dict(values))
        return copy.deepcopy(self._made[key])

    def _make(self, name: str, given: dict[str, Any]) -> Any:
        where = self.name if self.key else f"{self.name}.{name}"
        kind = self._target(str(given.pop(TARGET)), where) if TARGET in given else self.find(name)
        base = _load(self.base)
        if not (isinstance(kind, type) and issubclass(kind, base) and is_dataclass(kind)):
            raise ConfigError(f"{where}: {kind!r} is no dataclass that subclasses {base.__module__}.{base.__name__}.")
        names = [key.name for key in fields(kind)]
        for key in given:
            if key not in names:
                raise ConfigError(f"{where}.{key} is not a key of {kind.__name__}.{did_you_mean(str(key), names)}")
        # Nested under their path, so that errors name it.
        whole = OmegaConf.merge(_nested(where, OmegaConf.structured(kind)), _nested(where, given))
        made = OmegaConf.select(whole, where)
        assert isinstance(made, DictConfig)
        return OmegaConf.to_object(made)

    def check(self, kind: Any) -> Iterator[str]:
        """Yield a sentence if the key that names the kind doesn't match the kind that the other keys belong to."""
        assert self.key is not None
        name, names_by_class = str(getattr(kind, self.key)), {self.find(name): name for name in self.builtin}
        if type(kind) not in names_by_class or name == names_by_class[type(kind)]:
            return
        if name in (names := self.names()):
            yield f"{self.name}.{self.key}={name} lacks its own settings: choose the whole group, {self.name}={name}."
        else:
            yield from one_of(f"{self.name}.{self.key}", name, names)

    def _target(self, path: str, where: str) -> type:
        module, _, name = path.rpartition(".")
        try:
            return getattr(import_module(module), name)
        except (ImportError, AttributeError, ValueError) as error:
            raise ConfigError(
                f"{where}.{TARGET}={path} can't be imported ({error}): give module.Class, of a module on PYTHONPATH."
            ) from error


@lru_cache(maxsize=16)
def _registered(group: str) -> tuple[EntryPoint, ...]:
    """Return the kinds of other packages; read once, since this searches everything that is installed."""
    return tuple(entry_points(group=group))


def _nested(path: str, content: Any) -> DictConfig:
    """Return a config with `content` at a dotted path."""
    for part in reversed(path.split(".")):
        content = {part: content}
    return OmegaConf.create(content)


def _load(path: str) -> type:
    module, _, name = path.partition(":")
    return getattr(import_module(module), name)


METHODS = "persona_sweeps.methods"
REFERENCES = "persona_sweeps.prediction.references"

PEFT = KindGroup(
    "peft",
    "method",
    "persona_sweeps.methods",
    "persona_sweeps.config.predictor:Predictor",
    {
        "none": f"{REFERENCES}.untuned:Untuned",
        "few_shot": f"{REFERENCES}.few_shot:FewShot",
        "nearest_reply": f"{REFERENCES}.nearest_reply:NearestReply",
        "true_reply": f"{REFERENCES}.true_reply:TrueReply",
        "adapter": f"{METHODS}.adapter:ForeignAdapter",
        "lora": f"{METHODS}.lora:Lora",
        "rslora": f"{METHODS}.rslora:RsLora",
        "dora": f"{METHODS}.dora:Dora",
        "ia3": f"{METHODS}.ia3:Ia3",
        "prompt_tuning": f"{METHODS}.prompt_tuning:PromptTuning",
        "prefix_tuning": f"{METHODS}.prefix_tuning:PrefixTuning",
        "p_tuning": f"{METHODS}.p_tuning:PTuning",
        "lora_prompt": f"{METHODS}.lora_prompt:LoraPrompt",
        "full": f"{METHODS}.full:Full",
    },
)
METRICS = KindGroup(
    "metrics",
    None,
    "persona_sweeps.metrics",
    "persona_sweeps.metrics.metric:Metric",
    {
        "likelihood": "persona_sweeps.metrics.likelihood:Likelihood",
        "overlap": "persona_sweeps.metrics.overlap.overlap:Overlap",
        "diversity": "persona_sweeps.metrics.diversity:Diversity",
        "semantic": "persona_sweeps.metrics.semantic.semantic:Semantic",
        "ranking": "persona_sweeps.metrics.ranking:Ranking",
        "style": "persona_sweeps.metrics.style.style:Style",
        "blending": "persona_sweeps.metrics.blending:Blending",
        "forgetting": "persona_sweeps.metrics.forgetting:Forgetting",
        "copying": "persona_sweeps.metrics.copying:Copying",
        "boundary": "persona_sweeps.metrics.boundary:Boundary",
    },
)
SOURCES = KindGroup(
    "dataset",
    "source",
    "persona_sweeps.sources",
    "persona_sweeps.data.source:Source",
    {
        "shakespeare": "persona_sweeps.data.sources.shakespeare:Shakespeare",
        "jsonl": "persona_sweeps.data.sources.jsonl:Jsonl",
        "hpd": "persona_sweeps.data.sources.hpd:Hpd",
        "stories": "persona_sweeps.data.sources.stories:Stories",
        "table": "persona_sweeps.data.sources.table:Table",
        "conversations": "persona_sweeps.data.sources.conversations:Conversations",
        "script": "persona_sweeps.data.sources.script:ScriptSource",
        "pairs": "persona_sweeps.data.sources.pairs:Pairs",
    },
)
GENERATION = KindGroup(
    "generation",
    "method",
    "persona_sweeps.generation",
    "persona_sweeps.prediction.decoding:Generation",
    {
        "greedy": "persona_sweeps.prediction.greedy:Greedy",
        "nucleus": "persona_sweeps.prediction.nucleus:Nucleus",
    },
)
FAMILIES = KindGroup(
    "model",
    "family",
    "persona_sweeps.families",
    "persona_sweeps.models.families.family:Family",
    {
        "llama": "persona_sweeps.models.families.llama:Llama",
        "mistral": "persona_sweeps.models.families.mistral:Mistral",
        "qwen2": "persona_sweeps.models.families.qwen2:Qwen2",
        "qwen3": "persona_sweeps.models.families.qwen3:Qwen3",
        "gemma2": "persona_sweeps.models.families.gemma2:Gemma2",
        "gemma3": "persona_sweeps.models.families.gemma3:Gemma3",
        "gpt2": "persona_sweeps.models.families.gpt2:Gpt2",
    },
)
"""A family has no keys of its own: the model's card names it."""
TRACKERS = KindGroup(
    "tracker",
    None,
    "persona_sweeps.trackers",
    "persona_sweeps.tracking.tracker:Tracker",
    {
        "none": "persona_sweeps.tracking.none:NoTracker",
        "tensorboard": "persona_sweeps.tracking.tensorboard:TensorBoard",
        "wandb": "persona_sweeps.tracking.wandb:Wandb",
        "mlflow": "persona_sweeps.tracking.mlflow:MLflow",
        "trackio": "persona_sweeps.tracking.trackio:Trackio",
    },
)
GROUPS = (PEFT, METRICS, SOURCES, GENERATION, TRACKERS)
"""the groups whose options are YAML files"""
