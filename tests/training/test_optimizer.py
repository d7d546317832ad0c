"""The optimizer takes the very steps of torch's."""

from __future__ import annotations

import pytest
import torch

from persona_sweeps.training.optimizer import AdamW


def parameters() -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(shape, generator=generator)) for shape in ((3, 4), (7,), (2, 5))]


@pytest.mark.parametrize("missing", [None, 2])
def test_every_step_is_that_of_torch(missing: int | None) -> None:
    """Also where a parameter has no gradient, at first or now and then."""
    found = []
    for kind in (AdamW, lambda groups, **settings: torch.optim.AdamW(groups, fused=True, **settings)):
        chosen = parameters()
        groups = [{"params": chosen[:2], "lr": 0.1}, {"params": chosen[2:], "lr": 1.0}]
        optimizer = kind(groups, lr=0.1, weight_decay=0.05)
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.8)
        generator = torch.Generator().manual_seed(1)
        for step in range(6):
            for index, parameter in enumerate(chosen):
                gradient = torch.randn(parameter.shape, generator=generator)
                parameter.grad = None if index == missing and step in (0, 3) else gradient
            optimizer.step()
            schedule.step()
        found.append([parameter.detach() for parameter in chosen] + [optimizer.state[chosen[2]]["exp_avg_sq"]])
    assert all(map(torch.equal, *found))
