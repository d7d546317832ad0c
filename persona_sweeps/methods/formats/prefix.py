"""Prefix tuning in PEFT's format: the keys and values of virtual tokens in all layers, one row a token."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from persona_sweeps.methods.formats.files import PeftFiles
from persona_sweeps.methods.formats.prompt import COUNTS, EMBEDDINGS, VirtualFormat

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel

    from persona_sweeps.methods.export import Part
    from persona_sweeps.methods.prefix import PrefixWeights
    from persona_sweeps.methods.weights import Adapter


class PrefixFormat(VirtualFormat):
    """Prefix tuning: PEFT saves keys and values, or the network that computes them; both can be read."""

    name = "prefix tuning"
    network = ("transform.0", "transform.2")
    harmless = (*COUNTS, "encoder_hidden_size", "init_weights", "prefix_projection")
    refused = {"modules_to_save": "layers that were trained whole"}

    def misfits(self, files: PeftFiles, model: PreTrainedModel) -> Iterator[str]:
        from persona_sweeps.methods.prefix import state_shape

        layers, sides, heads, head_dim = state_shape(model)
        if (width := self.width(files)) != layers * sides * heads * head_dim:
            yield (
                f"{files.folder} has {width} keys and values for each virtual token, and this model needs "
                f"{layers * sides * heads * head_dim}: {layers} layers with {heads} heads of {head_dim} for each."
            )

    def through_network(self, parts: Mapping[str, Tensor]) -> Tensor:
        import torch
        from torch.nn import functional as F

        inner = F.linear(parts["embedding.weight"], parts["transform.0.weight"], parts["transform.0.bias"])
        return F.linear(torch.tanh(inner), parts["transform.2.weight"], parts["transform.2.bias"])

    def read(self, files: PeftFiles, model: PreTrainedModel) -> Adapter:
        from torch import nn

        from persona_sweeps.methods.prefix import PrefixWeights, state_shape
        from persona_sweeps.methods.weights import Adapter

        states = self.embeddings(files).unflatten(1, state_shape(model))
        return Adapter(prefix=PrefixWeights(nn.Parameter(states.to(model.device))))


def write_prefix(prefix: PrefixWeights) -> Part:
    """Return the config and the tensors of a prefix."""
    from peft import PrefixTuningConfig, TaskType

    tokens, layers, _, heads, head_dim = prefix.states.shape
    config = PrefixTuningConfig(
        task_type=TaskType.CAUSAL_LM,
        num_virtual_tokens=tokens,
        token_dim=heads * head_dim,
        num_transformer_submodules=1,
        num_attention_heads=heads,
        num_layers=layers,
    )
    return config, {EMBEDDINGS: prefix.states.reshape(tokens, -1)}
