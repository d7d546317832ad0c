"""Quantized base models: what is quantized, how near it stays, what it takes, and that gradients pass whatever ran."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from persona_sweeps.config.schema import ModelConfig, QuantizationConfig
from persona_sweeps.models.layers import dense_weight, features, linear_layers
from persona_sweeps.models.loading import load_base
from persona_sweeps.models.quantization import UNQUANTIZED, predicted_bytes, weights_bytes
from persona_sweeps.models.skeleton import skeleton
from persona_sweeps.models.tiny import tiny_model
from tests.toolbox import CARDS, QUANTIZATIONS, relative_error

bitsandbytes = pytest.importorskip("bitsandbytes")

KINDS = list(QUANTIZATIONS)
STORED = {"int8": torch.int8, "nf4": torch.uint8, "fp4": torch.uint8}
OF_WEIGHTS = {"int8": 0.01, "nf4": 0.11, "fp4": 0.15}
"""relative errors that quantization allows"""
OF_LOGITS = {"int8": 0.06, "nf4": 0.45, "fp4": 0.6}
Loaded = Callable[..., nn.Module]


@pytest.fixture
def load(compose_card: Callable[..., ModelConfig]) -> Loaded:
    """A function of a card and a quantization that gives the twin."""

    def loaded(card: str, kind: str = "none", dtype: torch.dtype = torch.float32) -> nn.Module:
        quantization = QUANTIZATIONS.get(kind, UNQUANTIZED)
        return load_base(compose_card(card, "scale=tiny"), dtype, "cpu", quantization).model

    return loaded


def layer_of(load: Loaded, kind: str, path: str = "model.layers.1.mlp.down_proj") -> nn.Module:
    return load("smollm2_135m_instruct", kind).get_submodule(path)


def inputs(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def input_gradient(layer: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    x = x.clone().requires_grad_()
    out = layer(x)
    (out * inputs(*out.shape, seed=1)).sum().backward()
    assert x.grad is not None
    return x.grad


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("card", CARDS)
def test_each_linear_layer_of_the_decoder_is_quantized_and_nothing_else(card: str, kind: str, load: Loaded) -> None:
    """GPT-2's transposed layers too: weights and logits are near those of the unquantized twin."""
    plain, model = load(card), load(card, kind)
    ours, reference = linear_layers(model), linear_layers(plain)
    assert ours.keys() == reference.keys()
    for path, layer in ours.items():
        assert layer.weight.dtype is STORED[kind] and features(layer) == features(reference[path])
        assert relative_error(dense_weight(layer), dense_weight(reference[path])) < OF_WEIGHTS[kind], path
    assert type(model.get_output_embeddings()) is nn.Linear
    untouched = {name: p for name, p in plain.named_parameters() if not any(name == f"{path}.weight" for path in ours)}
    found = dict(model.named_parameters())
    assert all(torch.equal(found[name], parameter) for name, parameter in untouched.items())
    assert not model.training and not any(parameter.requires_grad for parameter in model.parameters())
    tokens = torch.arange(300, 340)[None]
    assert 0 < relative_error(model(tokens).logits, plain(tokens).logits) < OF_LOGITS[kind]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("card", ["smollm2_135m_instruct", "gpt2"])
@torch.no_grad()
def test_it_takes_what_was_predicted_and_less_than_before(
    card: str, kind: str, load: Loaded, compose_card: Callable[..., ModelConfig]
) -> None:
    tokens, meta = torch.arange(300, 340)[None], skeleton(compose_card(card, "scale=tiny"))
    for dtype in (torch.float32, torch.bfloat16):
        plain, model = load(card, dtype=dtype), load(card, kind, dtype)
        assert beside_buffers(plain) == predicted_bytes(meta, UNQUANTIZED, dtype.itemsize)
        assert beside_buffers(model) == predicted_bytes(meta, QUANTIZATIONS[kind], dtype.itemsize)
        taken = weights_bytes(model)
        logits = model(tokens).logits
        assert logits.dtype is dtype and relative_error(logits.float(), plain(tokens).logits.float()) < OF_LOGITS[kind]
        assert weights_bytes(model) == taken < weights_bytes(plain)


def beside_buffers(model: nn.Module) -> int:
    return weights_bytes(model) - sum(buffer.numel() * buffer.element_size() for buffer in model.buffers())


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_pass_a_layer_whatever_was_computed_before(kind: str, load: Loaded) -> None:
    layer, plain = layer_of(load, kind), layer_of(load, "none")
    x = inputs(3, 7, 128)
    before = input_gradient(layer, x)
    with torch.no_grad():
        layer(x)
    weight = dense_weight(layer)
    assert torch.equal(input_gradient(layer, x), before)
    assert relative_error(before, input_gradient(lambda own: own @ weight.T, x)) < 1e-6
    assert 0 < relative_error(before, input_gradient(plain, x)) < OF_WEIGHTS[kind]


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_left_alone_a_4_bit_layer_stops_passing_gradients_on_cpus_with_bf16_units(kind: str, load: Loaded) -> None:
    """Why the layers are told to compute as on any other CPU."""
    if not bitsandbytes.functional.has_avx512bf16():
        pytest.skip("only such a CPU repacks the weights")
    layer = layer_of(load, kind)
    layer.support_avx512bf16_for_cpu = True
    with torch.no_grad():
        layer(inputs(3, 128))
    x = inputs(3, 128).requires_grad_()
    with pytest.warns(UserWarning, match="autograd kernel was not registered"):
        layer(x).sum().backward()
    assert x.grad is None


@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_a_4_bit_layer_multiplies_by_its_dequantized_weight(kind: str, load: Loaded) -> None:
    layer, x = layer_of(load, kind), inputs(5, 128)
    assert relative_error(layer(x), x @ dense_weight(layer).T) < 1e-6


def with_outliers(rows: int) -> Tensor:
    """Inputs in which each row has outliers of its own."""
    x = inputs(rows, 128)
    for row in range(rows):
        x[row, 3 * row : 3 * row + 2] = 20.0 + row
    return x


def test_an_outlier_of_one_token_changes_no_other(load: Loaded) -> None:
    layer, x = layer_of(load, "int8"), with_outliers(6)
    together = layer(x)
    for row in range(len(x)):
        assert relative_error(together[row], layer(x[row : row + 1])[0]) < 1e-6
    theirs = bitsandbytes.nn.Linear8bitLt.forward
    by_batch = relative_error(theirs(layer, x)[1], theirs(layer, x[1:2])[0])
    assert by_batch > 1e-4, "bitsandbytes by itself would be as good"


def test_a_token_alone_has_what_bitsandbytes_gives_it(load: Loaded) -> None:
    layer = layer_of(load, "int8")
    for x in (inputs(1, 128), with_outliers(1)):
        assert relative_error(layer(x), bitsandbytes.nn.Linear8bitLt.forward(layer, x)) < 1e-6
    layer.state.threshold = 0.0
    assert torch.equal(layer(inputs(4, 128)), bitsandbytes.nn.Linear8bitLt.forward(layer, inputs(4, 128)))


def test_outliers_keep_small_inputs_from_drowning(load: Loaded) -> None:
    layer, x = layer_of(load, "int8"), with_outliers(6)
    exact = x @ dense_weight(layer).T
    kept = relative_error(layer(x), exact)
    layer.state.threshold = 0.0
    assert kept < 0.02 and relative_error(layer(x), exact) > 2 * kept
    layer.state.threshold = 6.0
    assert torch.isfinite(layer(x * 1e4)).all(), "numbers beyond fp16 are outliers too"


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_in_a_folder_is_quantized_alike_and_its_file_let_go(
    kind: str, load: Loaded, compose_card: Callable[..., ModelConfig], tmp_path: Path
) -> None:
    card = compose_card("smollm2_135m_instruct", "scale=tiny")
    base = load_base(card, torch.float32, "cpu")
    base.model.save_pretrained(tmp_path)
    base.tokenizer.save_pretrained(tmp_path)
    in_folder = compose_card("smollm2_135m_instruct", f"hub_id={tmp_path}")
    for dtype in (torch.float32, torch.bfloat16):
        model = load_base(in_folder, dtype, "cpu", QUANTIZATIONS[kind]).model
        tokens = torch.arange(300, 340)[None]
        assert torch.equal(model(tokens).logits, load("smollm2_135m_instruct", kind, dtype)(tokens).logits)
        for parameter in model.parameters():
            assert parameter.untyped_storage().nbytes() == parameter.numel() * parameter.element_size()


def test_a_twin_s_own_weights_are_left_as_they_are(compose_card: Callable[..., ModelConfig]) -> None:
    card = compose_card("gpt2", "scale=tiny")
    before = load_base(card, torch.float32, "cpu").fingerprint
    assert load_base(card, torch.float32, "cpu", QUANTIZATIONS["nf4"]).fingerprint == before
    assert not hasattr(tiny_model(card).config, "quantization_config")


@pytest.mark.parametrize("double_quant", [True, False])
@pytest.mark.parametrize("kind", ["nf4", "fp4"])
def test_quantized_scales_take_less(kind: str, double_quant: bool, compose_card: Callable[..., ModelConfig]) -> None:
    chosen: QuantizationConfig = replace(QUANTIZATIONS[kind], double_quant=double_quant)  # type: ignore[call-arg]
    meta = skeleton(compose_card("mistral_7b", "scale=full"))
    weights = sum(i * o for i, o in map(features, linear_layers(meta).values()))
    rest = predicted_bytes(meta, UNQUANTIZED, 2) - 2 * weights
    bits = 8 * (predicted_bytes(meta, chosen, 2) - rest) / weights
    assert bits == pytest.approx(4.127 if double_quant else 4.5, abs=0.001)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_embedded_model_still_tells_likely_text_apart(kind: str, compose_card: Callable[..., ModelConfig]) -> None:
    base = load_base(compose_card("smollm2_135m_instruct"), torch.bfloat16, "cpu", QUANTIZATIONS[kind])
    losses = []
    for text in (
        "The capital of France is Paris, a city on the Seine.",
        "France Paris the on is The city a of capital",
    ):
        tokens = base.tokenizer(text, return_tensors="pt").input_ids
        losses.append(float(base.model(tokens, labels=tokens).loss))
    assert losses[0] < 3.6 and losses[0] + 1.5 < losses[1]
