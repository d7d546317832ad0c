"""Negative log-likelihood at the labels alone, without ever holding all their logits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

Head = Callable[[Tensor], Tensor]

CHUNK = 512
"""labels whose logits are held at once: 512 × a vocabulary of 256,000 in fp32 is half a gigabyte"""


def output_head(model: PreTrainedModel) -> Head:
    """Return the map from hidden states [N, hidden] to logits [N, vocabulary], the final soft-cap included."""
    projection = model.get_output_embeddings()
    cap = getattr(model.config, "final_logit_softcapping", None)

    def head(hidden: Tensor) -> Tensor:
        logits = projection(hidden)
        return torch.tanh(logits / cap) * cap if cap is not None else logits

    return head


def label_nll(head: Head, hidden: Tensor, targets: Tensor) -> Tensor:
    """Return the NLL [N] in nats of each target given its hidden state [N, hidden]; no gradient."""
    with torch.no_grad():
        pieces = zip(hidden.split(CHUNK), targets.split(CHUNK), strict=True)
        return torch.cat([_cross_entropy(head, h, t) for h, t in pieces] or [hidden.new_zeros(0, dtype=torch.float32)])


def weighted_nll(head: Head, hidden: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return (Σ wᵢ·NLLᵢ, the NLLs [N] detached).

    The output head is frozen, so each chunk's gradient with respect to its hidden states is taken at once, and its
    logits are gone before the next chunk's are made; nothing is computed twice.
    """
    total, nll = _WeightedNll.apply(hidden, head, targets, weights)  # type: ignore[no-untyped-call]
    return total, nll.detach()


def _cross_entropy(head: Head, hidden: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(head(hidden).float(), targets, reduction="none")


class _WeightedNll(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden: Tensor, head: Head, targets: Tensor, weights: Tensor):  # type: ignore[no-untyped-def]
        gradients, losses = [], []
        pieces = zip(hidden.split(CHUNK), targets.split(CHUNK), weights.split(CHUNK), strict=True)
        for chunk, target, weight in pieces:
            with torch.enable_grad():
                leaf = chunk.detach().requires_grad_()
                nll = _cross_entropy(head, leaf, target)
                (gradient,) = torch.autograd.grad((nll * weight).sum(), leaf)
            gradients.append(gradient)
            losses.append(nll.detach())
        ctx.save_for_backward(torch.cat(gradients))
        nll = torch.cat(losses)
        ctx.mark_non_differentiable(nll)
        return (nll * weights).sum(), nll

    @staticmethod
    def backward(ctx, total: Tensor, _: Tensor):  # type: ignore[no-untyped-def]
        (gradient,) = ctx.saved_tensors
        return gradient * total, None, None, None
