"""Describe each kind of folder in PEFT's format, by `peft_type`."""

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
"""keys of adapter_config.json that change no result; the tensors' names say which layers are adapted"""
MERGE = "merge it into its base with PEFT's merge_and_unload, and give that folder as model.hub_id"


class AdapterFormat:
    """One `peft_type`: its name, what can't be applied, and how to read it."""

    relevant: tuple[str, ...] = ()
    """the keys of adapter_config.json that change the result"""
    harmless: tuple[str, ...] = ()
    """further keys, which don't change it; any other key that is set is refused, since its effect is unknown here"""
    refused: Mapping[str, str] = {}
    """keys that change the result in a way that isn't supported here → what they mean"""

    def title(self, files: PeftFiles) -> str:
        """Return its name in tables, such as `LoRA r=16`."""
        raise NotImplementedError

    def virtual_tokens(self, files: PeftFiles) -> int:
        """Return how many virtual tokens it puts before every prompt."""
        return 0

    def refusals(self, files: PeftFiles) -> list[str]:
        """Return a sentence for each thing in the folder that can't be applied; it begins with the folder.

        The config explains the tensors, so the tensors are checked only if the config is fine.
        """
        return list(self.config_refusals(files)) or list(self.tensor_refusals(files))

    def problems(self, files: PeftFiles, model: PreTrainedModel) -> list[str]:
        """Return a sentence for each thing that can't be applied to this model; it may be on the meta device."""
        return self.refusals(files) or list(self.misfits(files, model))

    def tensor_refusals(self, files: PeftFiles) -> Iterator[str]:
        """Yield a sentence for each tensor that doesn't belong to this format."""
        raise NotImplementedError

    def config_refusals(self, files: PeftFiles) -> Iterator[str]:
        """Yield a sentence for each key of adapter_config.json that can't be applied."""
        for key, value in files.config.items():
            if not value or key in COMMON or key in self.relevant or key in self.harmless:
                continue
            meaning = self.refused.get(key)
            if meaning is not None:
                yield f"{files.folder} has {meaning} ({key}), which can't be applied here: {MERGE}."
            else:
                yield f"{files.folder} sets {key}={_short(value)} in its config, which isn't known here: {MERGE}."

    def misfits(self, files: PeftFiles, model: PreTrainedModel) -> Iterator[str]:
        """Yield a sentence for each part whose shapes don't fit the model; it begins with the folder."""
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


def format_of(files: PeftFiles) -> AdapterFormat:
    """Return the format of a folder. Raises AdapterError for a peft_type that can't be applied."""
    if files.peft_type not in FORMATS:
        raise files.error(
            f"has peft_type={files.peft_type}, and only {', '.join(FORMATS)} can be applied here: {MERGE}."
        )
    module, _, name = FORMATS[files.peft_type].partition(":")
    return getattr(import_module(f"persona_sweeps.methods.formats.{module}"), name)()
