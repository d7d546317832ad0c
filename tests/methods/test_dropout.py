"""Keyed dropout is a fair dropout."""

from __future__ import annotations

import pytest
import torch

from persona_sweeps.methods.dropout import keyed_dropout, keyed_keep_mask


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
