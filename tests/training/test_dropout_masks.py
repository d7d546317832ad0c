"""What dropout does inside the model: a mask of its own for every token, step, layer and trial, however packed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from persona_sweeps.data.packing import PackedRow, TokenSequence, pack
from persona_sweeps.methods.forward import GroupForward
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.methods.weights import Adapter
from persona_sweeps.models.batch import PackedBatch, collate
from persona_sweeps.models.loading import BaseModel
from tests.toolbox import LORA, adapter_of, relative_error

P = 0.3
QUERY, KEY = "layers.0.self_attn.q_proj", "layers.0.self_attn.k_proj"


def transparent(base: BaseModel, seed: int, probability: float = P) -> Adapter:
    """LoRA whose products are the identity on the first features: it adds the dropped-out input to the output."""
    config = replace(LORA, r=64, alpha=64.0, dropout=probability, target_modules=rf".*{QUERY}|.*{KEY}")
    adapter = adapter_of(base, config, seed)
    for parameter in adapter.parameters():
        parameter.data.copy_(torch.eye(*parameter.shape))
    return adapter


def added(base: BaseModel, adapters: Sequence[Adapter], batch: PackedBatch) -> dict[str, Tensor]:
    """What LoRA adds to the outputs of the first layer's query and key projections, in a training pass."""
    plain: dict[str, Tensor] = {}
    adapted: dict[str, Tensor] = {}

    def keep(found: dict[str, Tensor], name: str) -> Callable:
        return lambda module, inputs, output: found.__setitem__(name, output.detach().clone())

    modules = {name: base.model.get_submodule(f"model.{name}") for name in (QUERY, KEY)}
    handles = [module.register_forward_hook(keep(plain, name)) for name, module in modules.items()]
    with AdapterStack(base.model, adapters) as stack:
        handles += [module.register_forward_hook(keep(adapted, name)) for name, module in modules.items()]
        GroupForward(base.model, stack).loss(batch, torch.ones(len(batch.label_tokens)))
    for handle in handles:
        handle.remove()
    return {name: adapted[name] - plain[name] for name in modules}


def masks(base: BaseModel, adapters: Sequence[Adapter], batch: PackedBatch) -> dict[str, Tensor]:
    return {name: value.abs() > 1e-6 for name, value in added(base, adapters, batch).items()}


def agreement(one: Tensor, other: Tensor) -> float:
    """How often two masks say the same; independent masks of this rate do with chance p² + (1 - p)²."""
    return float((one == other).float().mean())


INDEPENDENT = pytest.approx(P**2 + (1 - P) ** 2, abs=0.04)


def padded(sequences: Sequence[TokenSequence]) -> list[PackedRow]:
    return [pack([sequence], 10_000)[0] for sequence in sequences]


def test_the_keep_rate_is_right_and_tokens_steps_layers_and_trials_differ(
    llama: BaseModel, sequences: list[TokenSequence]
) -> None:
    (row,) = pack(sequences, 10_000)
    adapters = [transparent(llama, seed) for seed in (0, 1)]
    batch = collate([(0, row), (1, row)], "cpu")
    first = masks(llama, adapters, batch)
    assert float(first[QUERY].float().mean()) == pytest.approx(1 - P, abs=0.02)
    assert agreement(first[QUERY][0], first[QUERY][1]) == INDEPENDENT  # trials
    assert agreement(first[QUERY][..., :32], first[KEY]) == INDEPENDENT  # layers, on the same input
    assert agreement(first[QUERY][0, 1:], first[QUERY][0, :-1]) == INDEPENDENT  # tokens
    again = masks(llama, adapters, batch)
    assert torch.equal(first[QUERY], again[QUERY])
    adapters[0].step += 1
    later = masks(llama, adapters, batch)
    assert agreement(first[QUERY][0], later[QUERY][0]) == INDEPENDENT  # steps
    assert torch.equal(first[QUERY][1], later[QUERY][1])


def test_kept_inputs_are_scaled_so_that_the_mean_stays(llama: BaseModel, sequences: list[TokenSequence]) -> None:
    batch = collate([(0, row) for row in pack(sequences, 10_000)], "cpu")
    whole = added(llama, [transparent(llama, 0, 0.0)], batch)[QUERY]
    dropped = added(llama, [transparent(llama, 0)], batch)[QUERY]
    kept = dropped.abs() > 1e-6
    torch.testing.assert_close(dropped[kept], whole[kept] / (1 - P), rtol=1e-3, atol=1e-4)


def test_the_mask_is_the_same_packed_or_padded_and_in_any_group(
    llama: BaseModel, sequences: list[TokenSequence]
) -> None:
    (row,) = pack(sequences, 10_000)
    packed = masks(llama, [transparent(llama, 5)], collate([(0, row)], "cpu"))[QUERY]
    group = [transparent(llama, 4, 0.0), transparent(llama, 5)]
    pairs = [(index % 2, single) for index, single in enumerate(r for r in padded(sequences) for _ in range(2))]
    separate = masks(llama, group, collate(pairs, "cpu"))[QUERY]
    for index, sequence in enumerate(sequences):
        length = len(sequence.tokens) - 1
        assert torch.equal(separate[2 * index + 1, :length], packed[0, dict(row.paths)[sequence.index]])
        assert separate[2 * index, :length].all()


def test_packed_equals_padded_in_loss_and_gradients_under_dropout(
    base: BaseModel, sequences: list[TokenSequence]
) -> None:
    adapter = adapter_of(base, replace(LORA, dropout=P))

    def loss_and_gradients(rows: list[PackedRow]) -> tuple[float, list[Tensor]]:
        with AdapterStack(base.model, [adapter]) as stack:
            batch = collate([(0, row) for row in rows], "cpu")
            loss, _ = GroupForward(base.model, stack).loss(batch, torch.ones(len(batch.label_tokens)))
            loss.backward()
            stack.bind_gradients()
        return float(loss.detach()), [p.grad.clone() for p in adapter.parameters() if p.grad is not None]

    packed, separate = loss_and_gradients(pack(sequences, 10_000)), loss_and_gradients(padded(sequences))
    assert packed[0] == pytest.approx(separate[0], rel=1e-4)
    assert len(packed[1]) == len(list(adapter.parameters()))
    for ours, reference in zip(packed[1], separate[1], strict=True):
        assert relative_error(ours, reference) < 1e-4
