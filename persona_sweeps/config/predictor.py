"""The base class of what `peft=` chooses: a predictor answers prompts, whether it trains an adapter or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar

from omegaconf import MISSING

if TYPE_CHECKING:
    from pathlib import Path

    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.data.example import Example
    from persona_sweeps.methods.weights import Adapter


@dataclass
class Predictor:
    """The base of all options of `peft=`. Subclasses add their keys as fields.

    Attributes without an annotation are facts about the kind, not keys of its YAML file.
    """

    method: str = MISSING
    learning_rate: float | None = None
    """the default of train.learning_rate; None if nothing is trained"""

    trains = True
    """whether it trains anything, so that train.* and dataset.limit matter"""
    has_model = True
    """whether it needs a base model; without one it gives texts but no probabilities"""
    owns_base = False
    """whether it trains the base model's own weights, so that no other run can share them"""
    is_reference = False
    """whether it trains nothing and serves as a baseline"""
    is_base = False
    """whether it is the untuned base model itself"""
    is_ceiling = False
    """whether it answers with the truth itself, so that no other row can be expected to do better"""
    reads_training_data = True
    """whether the training examples can change its answers"""
    uses_seed = True
    """whether the seed can change its answers before anything is sampled"""
    virtual_tokens = 0
    """how many token slots it puts before a prompt; a property if a key sets it"""
    shots = 0
    """how many training examples it puts before a prompt; a key if the user sets it"""
    description = ""
    """what its rows are, for a note under a table (references only)"""
    not_identity: ClassVar[tuple[str, ...]] = ("learning_rate",)
    """the keys that can't change a result"""

    @property
    def label(self) -> str:
        """Its name in tables, with its settings, such as `LoRA r=8 α=16`."""
        values = {key.name: getattr(self, key.name) for key in fields(self)}
        left_out = ("method", "learning_rate", *(["start_from"] if values.get("start_from") is None else []))
        texts = [f"{key}={_plain(value)}" for key, value in values.items() if key not in left_out]
        return " ".join([self.method, *texts])

    @property
    def name_parts(self) -> list[str]:
        """Its parts of a run's folder name, such as `lora`, `r8`."""
        return [self.method]

    @property
    def search_space(self) -> Mapping[str, str]:
        """The keys that a study varies by default, each with a sweep in Hydra's syntax: `choice(4,8)`."""
        return {}

    def check(self, config: RunConfig) -> Iterator[str]:
        """Yield a sentence for each wrong key, and for each thing that it can't do in this run."""
        yield from ()

    def notes(self, config: RunConfig) -> Iterator[str]:
        """Yield a sentence for each thing that a user should know before the run starts; none of them stops it."""
        yield from ()

    def prompt_key(self, config: RunConfig) -> object:
        """Return what decides how its prompts look, beside its keys; None if its keys decide everything."""
        return None

    def answer(
        self, train: Sequence[Example], held_out: Sequence[Example]
    ) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Answer held-out prompts without a model; return a row an example, with its `text`, and counts to record."""
        raise NotImplementedError(f"{type(self).__name__}.answer")

    def fingerprint(self) -> str | None:
        """Return a hash of the files that it reads, for the run id; None if it reads none."""
        return None

    def create(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        """Return a fresh adapter. References return an empty one."""
        raise NotImplementedError(f"{type(self).__name__}.create")

    def start(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        """Return the adapter that training starts with: a fresh one, or one with the weights of another run."""
        return self.create(model, tokenizer, seed)

    def save(
        self, adapter: Adapter, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, base_name: str, folder: Path
    ) -> None:
        """Write what was trained into a run's folder: `adapter/` in PEFT's own format, or `model/`."""
        raise NotImplementedError(f"{type(self).__name__}.save")

    def load(self, model: PreTrainedModel, folder: Path) -> Adapter:
        """Return the trained adapter, read from a run's folder (`adapter/`, `model/`). Reads safetensors only."""
        raise NotImplementedError(f"{type(self).__name__}.load")

    def trainable_parameters(self, model: PreTrainedModel) -> int:
        """Return how many parameters it trains on this base. Raises ConfigError for targets that match nothing."""
        return 0

    def saved_parameters(self, model: PreTrainedModel) -> int:
        """Return how many parameters its export has."""
        return self.trainable_parameters(model)

    def facts(self) -> dict[str, Any]:
        """Return the facts that a record holds, so that its readers need no list of methods."""
        return {
            "label": self.label,
            "trains": self.trains,
            "has_model": self.has_model,
            "is_reference": self.is_reference,
            **({"is_ceiling": True} if self.is_ceiling else {}),
            "description": self.description,
        }


def _plain(value: Any) -> str:
    """Format a value as an override does: 16.0 as 16, a list with brackets, None as null."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{','.join(map(_plain, value))}]"
    return "null" if value is None else str(value)
