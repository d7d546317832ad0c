"""The closed-form loss is autograd's, and keyed dropout is a fair dropout."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from persona_sweeps.adapters.dropout import keyed_dropout, keyed_keep_mask
from persona_sweeps.training.loss import Head, label_nll, weighted_nll
from persona_sweeps.training.order import batches, total_steps
from tests.engine.toolbox import relative_error


@pytest.mark.parametrize("cap", [None, 3.0])
@pytest.mark.parametrize("biased", [False, True])
def test_closed_form_gradient_equals_autograd(cap: float | None, biased: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(300, 16, generator=generator, requires_grad=True)
    weight = torch.randn(90_000, 16, generator=generator)  # more labels than a chunk holds
    head = Head(weight, torch.randn(90_000, generator=generator) if biased else None, cap)
    assert head.chunk < len(hidden)
    targets = torch.randint(90_000, (300,), generator=generator)
    weights = torch.rand(300, generator=generator)
    total, nll = weighted_nll(head, hidden, targets, weights)
    (ours,) = torch.autograd.grad(total, hidden)
    expected_nll = F.cross_entropy(head(hidden), targets, reduction="none")
    (expected,) = torch.autograd.grad((expected_nll * weights).sum(), hidden)
    assert relative_error(nll, expected_nll.detach()) < 1e-5
    assert relative_error(ours, expected) < 1e-4
    torch.testing.assert_close(label_nll(head, hidden, targets), nll)


def test_dropout_keeps_its_share_and_differs_by_row_token_and_feature() -> None:
    keys = torch.arange(1, 129).repeat(2, 1) * 7919
    salts, p = torch.tensor([11, 12]), torch.tensor([0.1, 0.4])
    keep = keyed_keep_mask(keys, salts, 256, p).float()
    assert keep[0].mean() == pytest.approx(0.9, abs=0.01)
    assert keep[1].mean() == pytest.approx(0.6, abs=0.01)
    other = keyed_keep_mask(keys, salts + 5, 256, p).float()
    for view in (keep[1], keep[1].T):
        centred = view - view.mean()
        overlap = (centred[:-1] * centred[1:]).mean() / centred.pow(2).mean()
        assert abs(float(overlap)) < 0.03  # neighbours are independent
    covariance = torch.stack([keep[1].flatten(), other[1].flatten()]).cov()[0, 1]
    assert abs(float(covariance)) < 0.01  # nor do layers and steps share a mask


def test_dropout_keeps_the_mean_and_does_nothing_at_zero() -> None:
    x = torch.ones(2, 64, 128)
    keys = torch.arange(64).repeat(2, 1)
    dropped = keyed_dropout(x, keys, torch.tensor([1, 2]), torch.tensor([0.0, 0.5]))
    assert torch.equal(dropped[0], x[0])
    assert float(dropped[1].mean()) == pytest.approx(1.0, abs=0.05)


def test_every_epoch_is_a_permutation_of_its_own() -> None:
    order = batches(10, 4, seed=1)
    epochs = [[index for _ in range(3) for index in next(order)] for _ in range(3)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert total_steps(10, 4, 1.5, None) == 4 and total_steps(10, 4, 9, 2) == 2
