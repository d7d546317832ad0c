"""`peft=adapter`: evaluate an adapter that was trained elsewhere, read from a folder in PEFT's format."""

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
from persona_sweeps.methods.formats.format import AdapterFormat, format_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from persona_sweeps.config.schema import RunConfig
    from persona_sweeps.methods.weights import Adapter


LONGEST_NAME = 60
"""most characters of its folder's name in a run's folder name, whose length file systems limit"""


@dataclass
class ForeignAdapter(Predictor):
    """An adapter that was trained elsewhere, evaluated as it is."""

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
        """The folder's name, or its parent's name if the folder is called `adapter`."""
        folder = self.folder.resolve()
        return folder.parent.name if folder.name == "adapter" else folder.name

    @property
    def label(self) -> str:
        return f"adapter {self.name} ({' + '.join(format.title(files) for files, format in self._parts)})"

    @property
    def name_parts(self) -> list[str]:
        return [self.method, self.name[-LONGEST_NAME:]]

    @property
    def virtual_tokens(self) -> int:  # type: ignore[override]
        """The virtual tokens of all parts; 0 for a folder that can't be read, which `check` reports."""
        try:
            return sum(format.virtual_tokens(files) for files, format in self._parts)
        except ConfigError:
            return 0

    @cached_property
    def _parts(self) -> list[tuple[PeftFiles, AdapterFormat]]:
        """The folder's parts and their formats. Raises ConfigError for a folder that can't be read."""
        try:
            return [(files, format_of(files)) for files in find_files(self.folder)]
        except AdapterError as error:
            raise ConfigError(f"peft.path={error}") from error

    def check(self, config: RunConfig) -> Iterator[str]:
        try:
            for files, format in self._parts:
                yield from (f"peft.path={sentence}" for sentence in format.refusals(files))
        except ConfigError as error:
            yield str(error)

    def notes(self, config: RunConfig) -> Iterator[str]:
        """Yield a note if the adapter names another base; it may have the same weights under another name."""
        card = config.model
        names = {card.hub_id, card.architecture.hub_id if card.architecture is not None else card.hub_id}
        for files, _ in self._parts:
            base = files.config.get("base_model_name_or_path")
            if base and base not in names:
                yield f"{files.folder} was trained on {base}, and model={card.name} is {card.hub_id}."

    def fingerprint(self) -> str | None:
        from persona_sweeps.models.fingerprints import file_sha256, json_sha256

        parts = []
        for files, format in self._parts:
            relevant = {key: files.config.get(key) for key in ("peft_type", *format.relevant)}
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
        """Save nothing: the adapter stays in its folder."""

    def load(self, model: PreTrainedModel, folder: Path) -> Adapter:
        """Return the adapter, read from its own folder, not the run's."""
        from persona_sweeps.methods.formats.read import read_adapter

        return read_adapter(self.folder, model)

    def trainable_parameters(self, model: PreTrainedModel) -> int:
        """Return 0. Raises ConfigError if the adapter doesn't fit this model."""
        for files, format in self._parts:
            for sentence in format.problems(files, model):
                raise ConfigError(f"peft.path={sentence}")
        return 0
