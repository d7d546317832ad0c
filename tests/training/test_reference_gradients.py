"""A packed batch against one padded batch of transformers and PEFT alone: the loss of every label, every gradient."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from torch import Tensor
from torch.nn import functional as F

from persona_sweeps.adapters.export import export_adapter
from persona_sweeps.adapters.stack import AdapterStack
from persona_sweeps.adapters.weights import Adapter
from persona_sweeps.config import PeftConfig
from persona_sweeps.data.packing import TokenSequence, pack
from persona_sweeps.models.loading import BaseModel, load_base
from persona_sweeps.training.batch import collate
from persona_sweeps.training.forward import GroupForward
from persona_sweeps.training.trial import with_virtual_tokens
from tests.toolbox import LORA, PROMPT, adapter_of, relative_error

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


def padded_nll(model: PeftModel, sequences: list[TokenSequence]) -> Tensor:
    """The same with right padding, an attention mask, and the logits of every place."""
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
        for path, (a, b) in adapter.lora.pairs.items():
            found[f"base_model.model.{path}.lora_A.default.weight"] = a.grad
            found[f"base_model.model.{path}.lora_B.default.weight"] = b.grad.T if b.grad is not None else None
    if adapter.prompt is not None:
        found["prompt_encoder.default.embedding.weight"] = adapter.prompt.embeddings.grad
    assert all(gradient is not None for gradient in found.values())
    return found  # type: ignore[return-value]


@pytest.mark.parametrize("config", [LORA, PROMPT], ids=["lora", "prompt_tuning"])
def test_packed_loss_and_gradients_equal_those_of_transformers_and_peft(
    base: BaseModel,
    sequences: list[TokenSequence],
    config: PeftConfig,
    tmp_path: Path,
    compose_card: Callable,
    request: pytest.FixtureRequest,
) -> None:
    window = getattr(base.model.config, "sliding_window", None)
    assert window is None or min(s.loss_from for s in sequences) > window, "the prefix must outgrow the window"
    adapter = adapter_of(base, config)
    export_adapter(adapter, base.model, "none", tmp_path / "adapter")
    count = sum(len(s.tokens) - s.loss_from for s in sequences)
    weights = torch.rand(count, generator=torch.Generator().manual_seed(1))
    ours = packed_nll(base, adapter, sequences, weights)

    untouched = load_base(compose_card(request.node.callspec.params["base"], "scale=tiny"), torch.float32, "cpu")
    model = PeftModel.from_pretrained(untouched.model, str(tmp_path / "adapter"))
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name or "prompt_encoder" in name)
    theirs = padded_nll(model, sequences)
    (theirs * weights).sum().backward()
    assert relative_error(ours, theirs.detach()) < TOLERANCE
    expected = {name: p.grad for name, p in model.named_parameters() if p.requires_grad}
    found = gradients_by_name(adapter)
    assert found.keys() == expected.keys()
    for name, gradient in found.items():
        assert expected[name] is not None and float(expected[name].norm()) > 0
        assert relative_error(gradient, expected[name]) < TOLERANCE, name
