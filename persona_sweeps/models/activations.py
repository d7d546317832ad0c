"""How many bytes the activations of a pass take, from the shape of the model and the size of the pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from persona_sweeps.models.families.family import Family

SLACK = 1.5
"""of activations: what the backward pass holds for a moment, and what the allocator can't reuse; measured"""


GPU_SLACK = 1.3
"""the same on a GPU, whose allocator reuses more; from what an H100 held (docs/performance.md)"""
CHUNK_LOGITS = {"cpu": 4 << 20, "cuda": 64 << 20}
"""logits held at once: on a CPU 16 MiB in fp32, below the size that the allocator maps afresh each time"""
GPU_HEAD_BYTES = 12 * CHUNK_LOGITS["cuda"]
"""what the loss holds on a GPU: the logits of a chunk of labels in fp32, their probabilities and gradients"""


@dataclass(frozen=True, slots=True)
class Shape:
    """The shape of a model: its parameters, and the widths that activations have."""

    parameters: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    norm_width: int
    """features that the norms of a block have in all"""
    norm_bytes: int
    """what a norm keeps of a feature besides its result: fp32 copies"""


def shape_of(model: PreTrainedModel, family: Family) -> Shape:
    """Read the shape off a model's config; tied weights count once."""
    config = model.config.get_text_config()
    parameters = {id(parameter): parameter.numel() for parameter in model.parameters()}
    heads = config.num_attention_heads
    kv_heads = getattr(config, "num_key_value_heads", None) or heads
    head_dim = getattr(config, "head_dim", None) or config.hidden_size // heads
    return Shape(
        norm_width=_norm_width(model, {"q_norm": heads * head_dim, "k_norm": kv_heads * head_dim}),
        norm_bytes=8 if family.norms_keep_input else 4,
        parameters=sum(parameters.values()),
        hidden=config.hidden_size,
        intermediate=getattr(config, "intermediate_size", None)
        or getattr(config, "n_inner", None)
        or 4 * config.hidden_size,
        layers=config.num_hidden_layers,
        heads=heads,
        kv_heads=kv_heads,
        head_dim=head_dim,
    )


def _norm_width(model: PreTrainedModel, widths: dict[str, int]) -> int:
    """Return the width of all norms of a block.

    `widths` are those of norms within attention, whose weights are shared by the heads.
    """
    norms = {
        name: module
        for name, module in model.get_decoder().named_modules()
        if "Norm" in type(module).__name__ and ".0." in f".{name}."
    }
    return sum(widths.get(name.rsplit(".", 1)[-1], module.weight.numel()) for name, module in norms.items())


@dataclass(frozen=True, slots=True)
class PassSize:
    """What decides the memory of a forward pass, padding included."""

    slots: int = 0
    """token slots in its rows"""
    path_slots: int = 0
    """token slots in the paths that its branches attend to, one after the other"""
    scores: int = 0
    """pairs of a query and a key"""


def activation_bytes(shape: Shape, largest: PassSize, width: int, device: str = "cpu") -> int:
    """Return what a pass keeps for its backward, in numbers of `width` bytes.

    On a CPU, attention goes branch by branch: beside what each slot takes, it keeps the keys and values of each path,
    and in each head a probability for each pair of a query and a key. On a GPU it keeps neither.
    """
    if device != "cpu":
        return round(largest.slots * slot_bytes(shape, width, device)) + (GPU_HEAD_BYTES if largest.slots else 0)
    paths = 2 * width * shape.kv_heads * shape.head_dim * largest.path_slots
    scores = width * shape.heads * largest.scores
    return round(largest.slots * slot_bytes(shape, width, device) + SLACK * shape.layers * (paths + scores))


def slot_bytes(shape: Shape, width: int, device: str) -> float:
    """Return what a pass keeps of one token slot in all blocks, but for the paths and scores of attention.

    That is in each block: the norms' inputs in fp32 and their results; the gate, its activation, the up projection and
    their product in the MLP; queries and the attention's output, and on a GPU the keys and values of each head.
    """
    norms = (shape.norm_bytes + width) * shape.norm_width
    attention = (2 if device == "cpu" else 4) * width * shape.heads * shape.head_dim
    mlp = 4 * width * shape.intermediate
    return (SLACK if device == "cpu" else GPU_SLACK) * shape.layers * (norms + attention + mlp)
