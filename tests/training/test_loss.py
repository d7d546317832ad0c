"""The closed-form loss is autograd's."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from persona_sweeps.models.loss import Head, label_nll, weighted_nll
from tests.toolbox import relative_error


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
