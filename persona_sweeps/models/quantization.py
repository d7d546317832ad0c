"""Quantize base models with bitsandbytes: the arguments for transformers, and how the result becomes trainable.

The decoder's linear layers are quantized; embeddings, norms and the output head stay in train.precision, in which the
4-bit layers also compute.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from persona_sweeps.config.schema import FourBitConfig, Int8Config, QuantizationConfig

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn
    from transformers import BitsAndBytesConfig, PreTrainedModel

UNQUANTIZED = QuantizationConfig(method="none")

BLOCK = 64
"""4-bit weights that share a scale"""
SCALES_BLOCK = 256
"""scales that share a second-level scale, if the scales are quantized too"""
QUANTIZING = 15
"""bytes for each weight of the layer that is being quantized on a CPU; measured"""


@dataclass(frozen=True, slots=True)
class QuantizationMethod:
    """How a quantization is requested, made trainable, and counted in memory."""

    arguments: Callable[[Any, torch.dtype], dict[str, Any]]
    """(the method's config, dtype of the arithmetic) → arguments of BitsAndBytesConfig"""
    make_trainable: Callable[[nn.Module], None]
    """gives a quantized layer a forward that gradients pass through, whatever was computed before"""
    layer_bytes: Callable[[Any, int, int], int]
    """(config, inputs, outputs) → bytes of a linear layer's weight, with its scales"""


def transformers_config(quantization: QuantizationConfig, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    """Return the quantization_config for from_pretrained; None if the model isn't quantized."""
    if quantization.method == UNQUANTIZED.method:
        return None
    from transformers import BitsAndBytesConfig

    return BitsAndBytesConfig(**METHODS[quantization.method].arguments(quantization, dtype))


def prepare(model: PreTrainedModel, quantization: QuantizationConfig) -> None:
    """Make a quantized model trainable, and release the file that it was loaded from; in place.

    A parameter that isn't quantized may be a view of the mapped file, which would keep the whole file in memory.
    """
    from bitsandbytes.nn import Linear4bit, Linear8bitLt

    make_trainable = METHODS[quantization.method].make_trainable
    for module in model.modules():
        if isinstance(module, Linear4bit | Linear8bitLt):
            make_trainable(module)
    for parameter in model.parameters():
        if parameter.is_floating_point():
            parameter.data = parameter.data.clone()


def predicted_bytes(skeleton: PreTrainedModel, quantization: QuantizationConfig, width: int) -> int:
    """Return the bytes of a model's parameters; unquantized numbers have `width` bytes; tied ones count once."""
    parameters = sum(parameter.numel() for parameter in skeleton.parameters())
    if quantization.method == UNQUANTIZED.method:
        return width * parameters
    size, layers = METHODS[quantization.method].layer_bytes, _quantized_features(skeleton)
    plain = parameters - sum(inputs * outputs for inputs, outputs in layers)
    return width * plain + sum(size(quantization, inputs, outputs) for inputs, outputs in layers)


def quantizing_bytes(skeleton: PreTrainedModel, quantization: QuantizationConfig) -> int:
    """Return the bytes that quantizing takes temporarily on a CPU, layer by layer."""
    if quantization.method == UNQUANTIZED.method:
        return 0
    return QUANTIZING * max(inputs * outputs for inputs, outputs in _quantized_features(skeleton))


def _quantized_features(skeleton: PreTrainedModel) -> list[tuple[int, int]]:
    from persona_sweeps.models.layers import features, linear_layers

    return [features(layer) for layer in linear_layers(skeleton).values()]


def weights_bytes(model: nn.Module) -> int:
    """Return the bytes of a loaded model's parameters and buffers, with scales of quantized ones; tied ones once."""
    by_address = {tensor.data_ptr(): tensor.numel() * tensor.element_size() for tensor in _tensors(model)}
    return sum(by_address.values())


def silence_bitsandbytes() -> None:
    """Silence bitsandbytes' warnings about missing kernels: importing peft loads it, and nothing here needs them."""
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)


def _tensors(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()
    for module in model.modules():
        for holder in (getattr(module, "weight", None), getattr(module, "state", None)):
            scales = getattr(holder, "SCB", None)
            if scales is not None:
                yield scales
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        if state is not None:
            outer = (state.absmax, state.code, state.offset)
            nested = (state.state2.absmax, state.state2.code) if state.nested else ()
            yield from (tensor for tensor in (*outer, *nested) if tensor is not None)


def _int8_arguments(config: Int8Config, dtype: torch.dtype) -> dict[str, Any]:
    return {"load_in_8bit": True, "llm_int8_threshold": config.threshold}


def _int8_trainable(layer: nn.Module) -> None:
    from persona_sweeps.models.int8 import apply_tokenwise

    apply_tokenwise(layer)


def _int8_bytes(config: Int8Config, inputs: int, outputs: int) -> int:
    return inputs * outputs + 4 * outputs


def _four_bit_arguments(config: FourBitConfig, dtype: torch.dtype) -> dict[str, Any]:
    return {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": config.method,
        "bnb_4bit_use_double_quant": config.double_quant,
        "bnb_4bit_compute_dtype": dtype,
    }


def _four_bit_trainable(layer: nn.Module) -> None:
    """Prevent the layer from repacking its weight for a kernel without autograd.

    On CPUs with bf16 units a layer does that at its first pass in eval mode without gradients. From then on no gradient
    passes through it, and nothing is learned.
    """
    layer.support_avx512bf16_for_cpu = False  # type: ignore[assignment]


def _four_bit_bytes(config: FourBitConfig, inputs: int, outputs: int) -> int:
    codes, blocks = math.ceil(inputs * outputs / 2), math.ceil(inputs * outputs / BLOCK)
    table = 16 * 4
    if not config.double_quant:
        return codes + table + 4 * blocks
    offset_and_table = 4 + 256 * 4
    return codes + table + blocks + 4 * math.ceil(blocks / SCALES_BLOCK) + offset_and_table


_FOUR_BIT = QuantizationMethod(_four_bit_arguments, _four_bit_trainable, _four_bit_bytes)
METHODS: dict[str, QuantizationMethod] = {
    "int8": QuantizationMethod(_int8_arguments, _int8_trainable, _int8_bytes),
    "nf4": _FOUR_BIT,
    "fp4": _FOUR_BIT,
}
"""by quantization.method"""
