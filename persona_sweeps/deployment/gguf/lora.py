"""A LoRA as a GGUF file of its own, which llama.cpp lays on the base model's file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from persona_sweeps.errors import UserError

if TYPE_CHECKING:
    from gguf import ReaderTensor
    from torch import Tensor
    from transformers import PretrainedConfig, PreTrainedModel

    from persona_sweeps.methods.lora_layers import LoraPair, LoraWeights
    from persona_sweeps.methods.weights import Adapter

Array = NDArray[np.float32]
Rows = Callable[[Array], Array]
"""puts the rows of a matrix in another order"""
ALPHA = 1.0
"""llama.cpp scales each product by this over its rank; the rest of a pair's scale is put into B"""


def require_low_rank(adapter: Adapter, label: str) -> LoraWeights:
    """Return an adapter's low-rank pairs. Raises `UserError` if it has anything else, which the format can't hold."""
    weights = adapter.lora
    if (
        weights is None
        or adapter.on_layers() != [weights]
        or adapter.virtual_tokens
        or any(pair.magnitude is not None for pair in weights.pairs.values())
    ):
        raise UserError(
            f"{label} is no plain LoRA, all that a GGUF adapter holds: without --lora it is merged into its base."
        )
    return weights


def write_lora(weights: LoraWeights, model: PreTrainedModel, base: Path, file: Path) -> None:
    """Write low-rank pairs as an adapter for the base model's F16 file, `base`.

    The converter reorders the rows of some layers (a llama's queries and keys, for its rotary embedding): the order is
    found by comparing the base's weights in both, and the rows of B follow it.

    Raises `UserError` for a layer that the file doesn't have.
    """
    import gguf

    reader = gguf.GGUFReader(base)
    architecture = str(reader.fields["general.architecture"].contents())
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    if architecture not in kinds:
        raise UserError(f"GGUF's architecture {architecture} is too new for the package gguf here: leave out --lora.")
    names = gguf.get_tensor_name_map(kinds[architecture], model.config.num_hidden_layers)
    stored = {tensor.name: tensor for tensor in reader.tensors}
    writer = gguf.GGUFWriter(file, architecture)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, ALPHA)
    for path, pair in weights.pairs.items():
        name = f"{names.get_name(path)}.weight"
        if name not in stored:
            raise UserError(f"{path} has a LoRA, and is no layer of a GGUF file: leave out --lora.")
        a, b = factors(pair)
        order = row_order(_weight(model, path), stored[name], model.config)
        if order is None:
            raise UserError(f"The converter stores {path} in a way that isn't known here: leave out --lora.")
        writer.add_tensor(f"{name}.lora_a", a)
        writer.add_tensor(f"{name}.lora_b", np.ascontiguousarray(order(b) * np.float32(pair.scale * len(a) / ALPHA)))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def factors(pair: LoraPair) -> tuple[Array, Array]:
    """Return A [r, in] and B [out, r] with B A = what a pair adds, before its scale.

    A pair whose initial product is subtracted has twice the rank: [B, -B₀] [A; A₀].
    """
    a, b = _array(pair.a), _array(pair.b).T
    if pair.start is None:
        return a, b
    first_a, first_b = (_array(one) for one in pair.start)
    return np.concatenate([a, first_a]), np.concatenate([b, -first_b.T], axis=1)


def row_order(weight: Array, stored: ReaderTensor, config: PretrainedConfig) -> Rows | None:
    """Return how the rows of a layer's weight [out, in] are ordered in a file; None if neither known order is it.

    Llama's rotary embedding turns pairs of neighbours in GGUF, and halves in transformers (`permute` of llama.cpp's
    converter).
    """
    found = np.asarray(stored.data).reshape(weight.shape) if stored.data.dtype == np.float16 else None
    heads = {config.num_attention_heads, getattr(config, "num_key_value_heads", None) or config.num_attention_heads}
    orders: list[Rows] = [
        lambda rows: rows,
        *(_rotary(count) for count in sorted(heads) if len(weight) % (2 * count) == 0),
    ]
    return next(
        (order for order in orders if found is not None and (order(weight).astype(np.float16) == found).all()), None
    )


def _rotary(heads: int) -> Rows:
    """Return the order that pairs the two halves of each head's rows."""

    def order(rows: Array) -> Array:
        halves = rows.reshape(heads, 2, len(rows) // heads // 2, *rows.shape[1:])
        return halves.swapaxes(1, 2).reshape(rows.shape)

    return order


def _weight(model: PreTrainedModel, path: str) -> Array:
    from persona_sweeps.models.layers import dense_weight

    return _array(dense_weight(model.get_submodule(path)))


def _array(values: Tensor) -> Array:
    return np.asarray(values.detach().float().cpu().numpy(), dtype=np.float32)
