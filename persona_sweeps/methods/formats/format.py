"""What is known of each kind of folder in PEFT's format, by `peft_type`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from persona_sweeps.methods.formats.files import PeftFiles

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from persona_sweeps.methods.weights import Adapter

COMMON = frozenset({
    "auto_mapping", "base_model_name_or_path", "exclude_modules", "inference_mode", "peft_type", "peft_version",
    "revision", "target_modules", "task_type",
})  # fmt: skip
"""Keys of adapter_config.json that change no result: which layers are adapted, the tensors themselves say."""
MERGE = "merge it into its base with PEFT's merge_and_unload, and give that folder as model.hub_id"


class Format:
    """One `peft_type`: how it is called, what of it can't be applied, and how it is read."""

    relevant: tuple[str, ...] = ()
    """the keys of adapter_config.json that change the result"""
    harmless: tuple[str, ...] = ()
    """further keys that don't; any other that is set is refused, since what it does isn't known here"""
    refused: Mapping[str, str] = {}
    """keys that change the result in a way that isn't built here, and what they stand for"""

    def title(self, files: PeftFiles) -> str:
        """Return what it is called in tables, such as `LoRA r=16`."""
        raise NotImplementedError

    def virtual_tokens(self, files: PeftFiles) -> int:
        """Return how many virtual tokens it puts before every prompt."""
        return 0

    def refusals(self, files: PeftFiles) -> list[str]:
        """Return a sentence for each thing in the folder that can't be applied; it begins with the folder.

        What the config says explains the tensors, so these are looked at only where the config is fine.
        """
        return list(self.config_refusals(files)) or list(self.tensor_refusals(files))

    def problems(self, files: PeftFiles, model: PreTrainedModel) -> list[str]:
        """Return a sentence for each thing that can't be applied to this model; it may be on the meta device."""
        return self.refusals(files) or list(self.misfits(files, model))

    def tensor_refusals(self, files: PeftFiles) -> Iterator[str]:
        """Yield a sentence for each tensor that isn't of this format."""
        raise NotImplementedError

    def config_refusals(self, files: PeftFiles) -> Iterator[str]:
        """Yield a sentence for each key of adapter_config.json that says what can't be applied."""
        for key, value in files.config.items():
            if not value or key in COMMON or key in self.relevant or key in self.harmless:
                continue
            what = self.refused.get(key)
            if what is not None:
                yield f"{files.folder} has {what} ({key}), which can't be applied here: {MERGE}."
            else:
                yield f"{files.folder} sets {key}={_short(value)} in its config, which isn't known here: {MERGE}."

    def misfits(self, files: PeftFiles, model: PreTrainedModel) -> Iterator[str]:
        """Yield a sentence for each part that doesn't fit the model, from shapes alone; it begins with the folder."""
        raise NotImplementedError

    def read(self, files: PeftFiles, model: PreTrainedModel) -> Adapter:
        """Return the adapter, in fp32, each part on the device of its layer."""
        raise NotImplementedError


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"


FORMATS = {
    "LORA": "lora:LoraFormat",
    "IA3": "ia3:Ia3Format",
    "PROMPT_TUNING": "prompt:PromptFormat",
    "P_TUNING": "prompt:EncodedPromptFormat",
    "PREFIX_TUNING": "prefix:PrefixFormat",
}
"""peft_type → the module and class in this package"""


def format_of(files: PeftFiles) -> Format:
    """Return the format of a folder. Raises AdapterError for a peft_type that can't be applied."""
    if files.peft_type not in FORMATS:
        raise files.error(
            f"is of peft_type={files.peft_type}, and only {', '.join(FORMATS)} can be applied here: {MERGE}."
        )
    module, _, name = FORMATS[files.peft_type].partition(":")
    return getattr(import_module(f"persona_sweeps.methods.formats.{module}"), name)()
