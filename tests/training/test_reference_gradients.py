"""A packed batch against one padded batch of transformers and PEFT: the loss of every label, every gradient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from torch.nn import functional as F

from persona_sweeps.data.packing import TokenSequence, pack
from persona_sweeps.methods.export import export_adapter
from persona_sweeps.methods.forward import GroupForward
from persona_sweeps.methods.soft_prompt import PromptWeights
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.batch import collate
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.training.trial import with_virtual_tokens
from tests.toolbox import METHODS, adapter_of, relative_error

TOLERANCE = 1e-4


def packed_nll(base: BaseModel, adapter: Adapter, sequences: list[TokenSequence], weights: Tensor) -> Tensor:
    """Each example's labels in order, joined; leaves the gradient of their weighted sum in the parameters."""
    rows = pack([with_virtual_tokens(s, adapter.virtual_tokens) for s in sequences], 10_000)
    assert len(rows) == 1
    with AdapterStack(base.model, [adapter]) as stack:
        batch = collate([(0, row) for row in rows], "cpu")
        order = torch.argsort(batch.label_examples, stable=True)
        weight = torch.empty_like(weights)
        weight[order] = weights
        loss, nll = GroupForward(base.model, stack).loss(batch, weight)
        loss.backward()
        stack.bind_gradients()
    return nll[order]


def padded_nll(model: torch.nn.Module, sequences: list[TokenSequence]) -> Tensor:
    """The same with right padding, an attention mask, and the logits of every token."""
    length = max(len(s.tokens) for s in sequences)
    ids = torch.tensor([[*s.tokens, *[0] * (length - len(s.tokens))] for s in sequences])
    mask = torch.tensor([[1] * len(s.tokens) + [0] * (length - len(s.tokens)) for s in sequences])
    logits = model(input_ids=ids, attention_mask=mask).logits[:, -length:]
    labels = []
    for s, own in zip(sequences, logits, strict=True):
        at = own[s.loss_from - 1 : len(s.tokens) - 1]
        labels.append(F.cross_entropy(at, torch.tensor(s.tokens[s.loss_from :]), reduction="none"))
    return torch.cat(labels)


def gradients_by_name(adapter: Adapter) -> dict[str, Tensor]:
    """Our gradients under the names, and in the shapes, of PEFT's parameters."""
    found: dict[str, Tensor | None] = {}
    if adapter.lora is not None:
        for path, pair in adapter.lora.pairs.items():
            found[f"base_model.model.{path}.lora_A.default.weight"] = pair.a.grad
            found[f"base_model.model.{path}.lora_B.default.weight"] = None if pair.b.grad is None else pair.b.grad.T
            if pair.magnitude is not None:
                found[f"base_model.model.{path}.lora_magnitude_vector.default.weight"] = pair.magnitude.grad
    if adapter.ia3 is not None:
        for path, factors in {**adapter.ia3.outputs, **adapter.ia3.inputs}.items():
            found[f"base_model.model.{path}.ia3_l.default"] = factors.grad
    if isinstance(adapter.prompt, PromptWeights):
        found["prompt_encoder.default.embedding.weight"] = adapter.prompt.embeddings.grad
    if adapter.prefix is not None:
        found["prompt_encoder.default.embedding.weight"] = adapter.prefix.states.grad
    assert all(gradient is not None for gradient in found.values())
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("method", ["lora", "rslora", "dora", "ia3", "prompt_tuning", "prefix_tuning"])
def test_packed_loss_and_gradients_equal_those_of_transformers_and_peft(
    base: BaseModel,
    sequences: list[TokenSequence],
    method: str,
    tmp_path: Path,
    compose_card: Callable,
    request: pytest.FixtureRequest,
) -> None:
    window = getattr(base.model.config, "sliding_window", None)
    assert window is None or min(s.loss_from for s in sequences) > window, "the prefix must outgrow the window"
    adapter = adapter_of(base, METHODS[method])
    export_adapter(adapter, base.model, "none", tmp_path / "adapter")
    count = sum(len(s.tokens) - s.loss_from for s in sequences)
    weights = torch.rand(count, generator=torch.Generator().manual_seed(1))
    ours = packed_nll(base, adapter, sequences, weights)

    untouched = load_base(compose_card(request.node.callspec.params["base"], "scale=tiny"), torch.float32, "cpu")
    model = PeftModel.from_pretrained(untouched.model, str(tmp_path / "adapter"))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(any(part in name for part in ("lora_", "ia3_", "prompt_encoder")))
    theirs = padded_nll(model, sequences)
    (theirs * weights).sum().backward()
    assert relative_error(ours, theirs.detach()) < TOLERANCE
    expected = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    found = gradients_by_name(adapter)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert expected[name] is not None and float(expected[name].norm()) > 0
        assert relative_error(gradient.reshape(expected[name].shape), expected[name]) < TOLERANCE, name


def test_gradients_of_all_weights_equal_those_of_transformers(
    base: BaseModel,
    sequences: list[TokenSequence],
    compose_card: Callable,
    request: pytest.FixtureRequest,
) -> None:
    """Full fine-tuning: the embeddings and the output head, tied or not, have their gradient too."""
    adapter = adapter_of(base, METHODS["full"], spread=None)
    count = sum(len(s.tokens) - s.loss_from for s in sequences)
    weights = torch.rand(count, generator=torch.Generator().manual_seed(1))
    ours = packed_nll(base, adapter, sequences, weights)

    untouched = load_base(compose_card(request.node.callspec.params["base"], "scale=tiny"), torch.float32, "cpu")
    untouched.model.requires_grad_(True)
    theirs = padded_nll(untouched.model, sequences)
    (theirs * weights).sum().backward()
    assert relative_error(ours, theirs.detach()) < TOLERANCE
    assert adapter.full is not None
    expected = dict(untouched.model.named_parameters())
    assert adapter.full.tensors.keys() == expected.keys()
    for name, tensor in adapter.full.tensors.items():
        gradient = expected[name].grad
        assert gradient is not None and tensor.grad is not None
        assert float((tensor.grad - gradient).norm()) <= TOLERANCE * float(gradient.norm()) + 1e-6, name
    assert not any(p.requires_grad or p.grad is not None for p in base.model.parameters())
