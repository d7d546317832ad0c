"""Prompt tuning and P-tuning in PEFT's format: the embeddings of virtual tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from persona_sweeps.methods.formats.files import PeftFiles
from persona_sweeps.methods.formats.format import AdapterFormat

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from persona_sweeps.methods.export import Part
    from persona_sweeps.methods.weights import Adapter, SoftPrompt

EMBEDDINGS = "prompt_embeddings"
COUNTS = ("num_attention_heads", "num_layers", "num_transformer_submodules", "num_virtual_tokens", "token_dim")
"""keys of adapter_config.json that repeat what the shapes say"""
NETWORK = re.compile(r"(?:.*\.)?(embedding|mlp_head\.[024]|transform\.[02])\.(weight|bias)")
"""tensors of the network that computes the embeddings, if it was saved in their stead"""


class VirtualFormat(AdapterFormat):
    """A method of virtual tokens; `name` is its name in tables."""

    name = ""
    network: tuple[str, ...] = ()
    """the layers of a network, in order, that may have been saved in place of its output"""

    def title(self, files: PeftFiles) -> str:
        return f"{self.name}, {self.virtual_tokens(files)} tokens"

    def virtual_tokens(self, files: PeftFiles) -> int:
        shape = files.shapes.get(EMBEDDINGS) or self._parts(files).get("embedding.weight") or (0,)
        return shape[0]

    def tensor_refusals(self, files: PeftFiles) -> Iterator[str]:
        parts = self._parts(files)
        wanted = ["embedding.weight", *(f"{layer}.{part}" for layer in self.network for part in ("weight", "bias"))]
        whole = self.network and all(name in parts for name in wanted)
        if EMBEDDINGS not in files.shapes and not whole:
            yield f"{files.folder} holds neither {EMBEDDINGS} nor a whole network that computes them."
        elif not all(len(files.shapes[name]) == 2 for name in (EMBEDDINGS,) if name in files.shapes):
            yield f"{files.folder}: {EMBEDDINGS} has shape {list(files.shapes[EMBEDDINGS])}, which isn't a matrix."

    def width(self, files: PeftFiles) -> int:
        """Return how many numbers a virtual token has."""
        if EMBEDDINGS in files.shapes:
            return files.shapes[EMBEDDINGS][1]
        return self._parts(files)[f"{self.network[-1]}.weight"][0]

    def embeddings(self, files: PeftFiles) -> Tensor:
        """Return the virtual tokens [V, width], as they were saved or as the saved network computes them."""
        from persona_sweeps.methods.formats.read import tensors_of

        tensors = tensors_of(files)
        if EMBEDDINGS in tensors:
            return tensors[EMBEDDINGS]
        return self.through_network({_part(name): tensor for name, tensor in tensors.items() if _part(name)})

    def through_network(self, parts: Mapping[str, Tensor]) -> Tensor:
        raise NotImplementedError

    def _parts(self, files: PeftFiles) -> dict[str, tuple[int, ...]]:
        return {part: shape for name, shape in files.shapes.items() if (part := _part(name))}


def _part(name: str) -> str:
    match = NETWORK.fullmatch(name)
    return f"{match[1]}.{match[2]}" if match else ""


class PromptFormat(VirtualFormat):
    name = "prompt tuning"
    harmless = (*COUNTS, "prompt_tuning_init", "prompt_tuning_init_text", "tokenizer_kwargs", "tokenizer_name_or_path")
    refused = {"modules_to_save": "layers that were trained whole"}

    def misfits(self, files: PeftFiles, model: PreTrainedModel) -> Iterator[str]:
        hidden, width = model.config.get_text_config().hidden_size, self.width(files)
        if width != hidden:
            yield f"{files.folder} has virtual tokens of {width} numbers, and this model's embeddings have {hidden}."

    def read(self, files: PeftFiles, model: PreTrainedModel) -> Adapter:
        from torch import nn

        from persona_sweeps.methods.soft_prompt import PromptWeights
        from persona_sweeps.methods.weights import Adapter

        return Adapter(prompt=PromptWeights(nn.Parameter(self.embeddings(files).to(model.device))))


class EncodedPromptFormat(PromptFormat):
    """P-tuning: PEFT saves the network's output, or the network itself; both can be read."""

    name = "P-tuning"
    network = ("mlp_head.0", "mlp_head.2", "mlp_head.4")
    harmless = (
        *COUNTS, "encoder_dropout", "encoder_hidden_size", "encoder_num_layers", "encoder_reparameterization_type",
    )  # fmt: skip

    def through_network(self, parts: Mapping[str, Tensor]) -> Tensor:
        from torch.nn import functional as F

        states = parts["embedding.weight"]
        for layer in self.network[:-1]:
            states = F.relu(F.linear(states, parts[f"{layer}.weight"], parts[f"{layer}.bias"]))
        return F.linear(states, parts[f"{self.network[-1]}.weight"], parts[f"{self.network[-1]}.bias"])


def write_prompt(prompt: SoftPrompt, model: PreTrainedModel) -> Part:
    """Return the config and the tensors of a soft prompt; for P-tuning, the network's output."""
    from peft import PromptEncoderConfig, PromptTuningConfig, TaskType

    from persona_sweeps.methods.prompt_encoder import EncodedPrompt

    text = model.config.get_text_config()
    values = prompt.values()
    common = {
        "task_type": TaskType.CAUSAL_LM,
        "num_virtual_tokens": len(prompt),
        "token_dim": values.shape[1],
        "num_transformer_submodules": 1,
        "num_attention_heads": text.num_attention_heads,
        "num_layers": text.num_hidden_layers,
    }
    if isinstance(prompt, EncodedPrompt):
        return PromptEncoderConfig(encoder_hidden_size=prompt.hidden_size, **common), {EMBEDDINGS: values}
    return PromptTuningConfig(**common), {EMBEDDINGS: values}
