"""Whole rows give the gradients of branches, and padding to few sizes changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from persona_sweeps.data.packing import TokenSequence, pack
from persona_sweeps.methods.forward import GroupForward
from persona_sweeps.methods.stack import AdapterStack
from persona_sweeps.models.batch import Padding, host_batch
from persona_sweeps.models.loading import BaseModel
from persona_sweeps.models.row_attention import RowLayout, subtree_ends
from tests.toolbox import LORA, METHODS, PREFIX, adapter_of, relative_error

NONE = Padding(1, 1)
TRIALS = {"lora": LORA, "dropout": replace(LORA, dropout=0.3), "dora": METHODS["dora"], "prefix": PREFIX}


def losses_and_gradients(
    base: BaseModel, method: str, sequences: list[TokenSequence], whole_rows: bool, padding: Padding
) -> tuple[list[float], list[Tensor]]:
    """Do one pass of two trials on different sequences; return the summed NLL and the gradients of both."""
    adapters = [adapter_of(base, TRIALS[method], seed) for seed in range(2)]
    virtual = tuple(-1 - index for index in range(adapters[0].virtual_tokens))
    chosen = [replace(s, tokens=virtual + s.tokens, loss_from=s.loss_from + len(virtual)) for s in sequences]
    rows = [(0, row) for row in pack(chosen[:6], 70)] + [(1, row) for row in pack(chosen[4:], 10_000)]
    weights = torch.tensor([0.7, 0.3, 0.0])
    with AdapterStack(base.model, adapters) as stack:
        forward = GroupForward(base.model, stack)
        batch = host_batch(rows, whole_rows=whole_rows, padding=padding).to("cpu")
        assert isinstance(batch.layout, RowLayout) == whole_rows
        assert batch.tokens.shape[1] % padding.slots == 0 and len(batch.label_tokens) % padding.labels == 0
        loss, nll = forward.loss(batch, weights[batch.label_trials])
        loss.backward()
        stack.bind_gradients()
    sums = torch.zeros(3).index_add_(0, batch.label_trials, nll.float())
    return sums[:2].tolist(), [parameter.grad.clone() for adapter in adapters for parameter in adapter.parameters()]


@pytest.mark.parametrize("method", TRIALS)
def test_whole_and_padded_rows_give_the_same_gradients(
    base: BaseModel, sequences: list[TokenSequence], method: str
) -> None:
    expected, gradients = losses_and_gradients(base, method, sequences, False, NONE)
    for whole_rows, padding in ((True, NONE), (True, Padding(128, 256)), (False, Padding(64, 32))):
        found, ours = losses_and_gradients(base, method, sequences, whole_rows, padding)
        assert found == pytest.approx(expected, rel=1e-5)
        for one, reference in zip(ours, gradients, strict=True):
            assert relative_error(one, reference) < 1e-4


def test_a_node_sees_its_ancestors_and_itself(sequences: list[TokenSequence]) -> None:
    rows = pack(sequences, 90)
    length = max(map(len, rows)) + 3
    ends = torch.from_numpy(subtree_ends(rows, length))
    slots = torch.arange(length)
    sees = (slots[None, :] <= slots[:, None]) & (slots[:, None] < ends[:, None, :])
    assert len(rows) > 1
    for row, packed in enumerate(rows):
        paths = [path.tolist() for _, path in packed.paths]
        ancestors = {node: set(path[: depth + 1]) for path in paths for depth, node in enumerate(path)}
        for node in range(len(packed)):
            assert set(sees[row, node].nonzero()[:, 0].tolist()) == ancestors[node]
        for padding in range(len(packed), length):
            assert sees[row, padding].nonzero()[:, 0].tolist() == [padding]
