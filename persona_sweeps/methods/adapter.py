"""`peft=adapter`: an adapter that was trained elsewhere, read from a folder in PEFT's format."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from omegaconf import MISSING

from persona_sweeps.config.predictor import Predictor
from persona_sweeps.errors import ConfigError
from persona_sweeps.methods.formats.files import AdapterError, PeftFiles, find_files
from persona_sweeps.methods.formats.format import format_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.methods.weights import Adapter


@dataclass
class ForeignAdapter(Predictor):
    """An adapter of elsewhere, evaluated as it is."""

    method: str = "adapter"
    path: str = MISSING

    trains = False
    reads_training_data = False
    uses_seed = False
    not_identity: ClassVar[tuple[str, ...]] = ("learning_rate", "path")

    @property
    def folder(self) -> Path:
        return Path(self.path).expanduser()

    @property
    def name(self) -> str:
        """The folder's name, or its parent's where that says no more than `adapter`."""
        folder = self.folder.resolve()
        return folder.parent.name if folder.name == "adapter" else folder.name

    @property
    def label(self) -> str:
        return f"adapter {self.name} ({' + '.join(format_of(files).title(files) for files in self._files)})"

    @property
    def name_parts(self) -> list[str]:
        return [self.method, self.name]

    @property
    def virtual_tokens(self) -> int:  # type: ignore[override]
        return sum(format_of(files).virtual_tokens(files) for files in self._files)

    @cached_property
    def _files(self) -> list[PeftFiles]:
        return find_files(self.folder)

    def check(self, config: RunConfig) -> Iterator[str]:
        try:
            for files in self._files:
                yield from (f"peft.path={sentence}" for sentence in format_of(files).refusals(files))
        except AdapterError as error:
            yield f"peft.path={error}"

    def notes(self, config: RunConfig) -> Iterator[str]:
        """Say so where the adapter names another base: its weights may be the same under another name."""
        card = config.model
        own = {card.hub_id, card.architecture.hub_id if card.architecture is not None else card.hub_id}
        for files in self._files:
            base = files.config.get("base_model_name_or_path")
            if base and base not in own:
                yield f"{files.folder} was trained on {base}, and model={card.name} is {card.hub_id}."

    def fingerprint(self) -> str | None:
        from persona_sweeps.models.fingerprints import file_sha256, json_sha256

        parts = []
        for files in self._files:
            relevant = {key: files.config.get(key) for key in ("peft_type", *format_of(files).relevant)}
            parts.append([relevant, file_sha256(files.tensors)])
        return json_sha256(parts)

    def create(self, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, seed: int) -> Adapter:
        from persona_sweeps.methods.formats.read import read_adapter

        adapter = read_adapter(self.folder, model)
        adapter.seed = seed
        return adapter

    def save(
        self, adapter: Adapter, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, base_name: str, folder: Path
    ) -> None:
        """Leave nothing in the run's folder: the adapter stays where it is."""

    def load(self, model: PreTrainedModel, folder: Path) -> Adapter:
        """Read it from where it is, whatever the run's folder."""
        from persona_sweeps.methods.formats.read import read_adapter

        return read_adapter(self.folder, model)

    def trainable_parameters(self, model: PreTrainedModel) -> int:
        """Return 0. Raises ConfigError where the adapter doesn't fit this model."""
        for files in self._files:
            for sentence in format_of(files).misfits(files, model):
                raise ConfigError(f"peft.path={sentence}")
        return 0
