"""What `peft=` chooses: what answers prompts, a method that trains an adapter or a reference that trains nothing."""

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
    """What all options of `peft=` have in common. Subclasses add their keys as fields.

    Attributes without an annotation are facts of the kind, not keys of its YAML file.
    """

    method: str = MISSING
    learning_rate: float | None = None
    """what train.learning_rate is unless it is set; null where nothing is trained"""

    trains = True
    """whether anything is trained, so that train.* and dataset.limit are read"""
    has_model = True
    """whether a base model is loaded; without one there are texts, and no probabilities"""
    owns_base = False
    """whether it trains the base model's own weights, so that no other run can share them"""
    is_reference = False
    """whether it trains nothing and is there to be beaten"""
    reads_training_data = True
    """whether the training examples can change its answers"""
    uses_seed = True
    """whether the seed can change its answers before anything is sampled"""
    virtual_tokens = 0
    """token slots that it puts before a prompt; a property where a key says how many"""
    shots = 0
    """training examples that it puts before a prompt; a key where that is chosen"""
    description = ""
    """what its rows are, for a note under a table (references only)"""
    not_identity: ClassVar[tuple[str, ...]] = ("learning_rate",)
    """of its keys, those that can't change a result"""

    @property
    def label(self) -> str:
        """How a table names it with its settings, such as `LoRA r=8 α=16`."""
        values = {key.name: getattr(self, key.name) for key in fields(self)}
        texts = [f"{key}={_plain(value)}" for key, value in values.items() if key not in ("method", "learning_rate")]
        return " ".join([self.method, *texts])

    @property
    def name_parts(self) -> list[str]:
        """What stands for it in a run's folder name, such as `lora`, `r8`."""
        return [self.method]

    @property
    def search_space(self) -> Mapping[str, str]:
        """What a study varies unless the command says otherwise, in Hydra's words: `choice(4,8)`."""
        return {}

    def check(self, config: RunConfig) -> Iterator[str]:
        """Yield a sentence for each thing that is wrong with its keys, or that it can't do in this run."""
        yield from ()

    def notes(self, config: RunConfig) -> Iterator[str]:
        """Yield a sentence for each thing worth knowing before the run starts, and no reason not to start it."""
        yield from ()

    def prompt_key(self, config: RunConfig) -> object:
        """Return what else decides how a prompt looks that is put to it; None where its keys say it all."""
        return None

    def answer(self, train: Sequence[Example], asked: Sequence[Example]) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """Answer prompts without a model: return a row an example, with its `text`, and counts for the record."""
        raise NotImplementedError(f"{type(self).__name__}.answer")

    def fingerprint(self) -> str | None:
        """Return a hash of files that it reads and that count for the run id; None where there are none."""
        return None

    def create(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        """Return what training starts with: a fresh adapter. References return an empty one."""
        raise NotImplementedError(f"{type(self).__name__}.create")

    def save(
        self, adapter: Adapter, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, base_name: str, folder: Path
    ) -> None:
        """Write what was trained into a run's folder: `adapter/` in PEFT's own format, or `model/`."""
        raise NotImplementedError(f"{type(self).__name__}.save")

    def load(self, model: PreTrainedModel, folder: Path) -> Adapter:
        """Return what answers, read from a run's folder (`adapter/`, `model/`). Safetensors only."""
        raise NotImplementedError(f"{type(self).__name__}.load")

    def trainable_parameters(self, model: PreTrainedModel) -> int:
        """Return how many numbers it trains on this base. Raises ConfigError for targets that match nothing."""
        return 0

    def saved_parameters(self, model: PreTrainedModel) -> int:
        """Return how many numbers its export has."""
        return self.trainable_parameters(model)

    def facts(self) -> dict[str, Any]:
        """Return what a record says of it, so that whoever reads the record needs no list of methods."""
        return {
            "label": self.label,
            "trains": self.trains,
            "has_model": self.has_model,
            "is_reference": self.is_reference,
            "description": self.description,
        }


def _plain(value: Any) -> str:
    """Return a value as an override has it: 16.0 as 16, a list with brackets, null for None."""
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{','.join(map(_plain, value))}]"
    return "null" if value is None else str(value)
