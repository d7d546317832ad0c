"""Negative log-likelihood at the labels only, chunk by chunk, so that not all logits are in memory at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F
from transformers import PreTrainedModel

from persona_sweeps.models.activations import CHUNK_LOGITS


@dataclass(frozen=True, slots=True)
class Head:
    """The map from hidden states to logits: h Wᵀ + b, soft-capped as c·tanh(z / c) if the model does so.

    It computes on the device of its weight. In a model that is spread over devices, hidden states may be on another
    one: accelerate's hooks move the inputs of layers, and this isn't a layer.
    """

    weight: Tensor
    bias: Tensor | None
    cap: float | None

    def __call__(self, hidden: Tensor) -> Tensor:
        """Return the logits [N, vocabulary] of hidden states [N, hidden], on the weight's device."""
        logits = F.linear(hidden.to(self.weight.device), self.weight, self.bias)
        return torch.tanh(logits / self.cap) * self.cap if self.cap is not None else logits

    @property
    def chunk(self) -> int:
        """How many labels have their logits in memory at once."""
        return max(16, CHUNK_LOGITS[self.weight.device.type] // self.weight.shape[0])


def output_head(model: PreTrainedModel) -> Head:
    """Return the output head of a causal language model."""
    projection = model.get_output_embeddings()
    cap = getattr(model.config.get_text_config(), "final_logit_softcapping", None)
    return Head(projection.weight, getattr(projection, "bias", None), cap)


def label_nll(head: Head, hidden: Tensor, targets: Tensor) -> Tensor:
    """Return the NLL [N] in nats of each target given its hidden state [N, hidden]; no gradient."""
    device = head.weight.device
    with torch.no_grad():
        pieces = zip(hidden.to(device).split(head.chunk), targets.to(device).split(head.chunk), strict=True)
        nll = torch.cat([F.cross_entropy(head(h).float(), t, reduction="none") for h, t in pieces])
        return nll.to(targets.device)


def weighted_nll(head: Head, hidden: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return (Σ wᵢ·NLLᵢ, the detached NLLs [N]).

    The gradient of each chunk is computed at once, in place, and its logits are freed before the next chunk; so is the
    gradient of the head's weights, if they are trained.
    """
    hidden, on_head, weights = (tensor.to(head.weight.device) for tensor in (hidden, targets, weights))
    total, nll = _WeightedNll.apply(hidden, head.weight, head.bias, head, on_head, weights)
    return total.to(targets.device), nll.detach().to(targets.device)


class _WeightedNll(torch.autograd.Function):
    @staticmethod
    def forward(ctx, hidden: Tensor, weight: Tensor, bias: Tensor | None, head: Head, targets: Tensor, weights: Tensor):  # type: ignore[no-untyped-def]
        of_weight = torch.zeros_like(weight, dtype=torch.float32) if ctx.needs_input_grad[1] else None
        of_bias = bias.new_zeros(bias.shape, dtype=torch.float32) if bias is not None and bias.requires_grad else None
        gradients, losses = [], []
        pieces = zip(*(tensor.split(head.chunk) for tensor in (hidden, targets, weights)), strict=True)
        for chunk, target, label_weight in pieces:
            nll, of_logits = _chunk(head, chunk, target, label_weight)
            rounded = of_logits.to(weight.dtype)
            gradients.append(rounded @ weight)
            losses.append(nll)
            if of_weight is not None:
                of_weight += rounded.T @ chunk
            if of_bias is not None:
                of_bias += of_logits.sum(0)
        ctx.save_for_backward(torch.cat(gradients), of_weight, of_bias)
        nll = torch.cat(losses)
        ctx.mark_non_differentiable(nll)
        return (nll * weights).sum(), nll

    @staticmethod
    def backward(ctx, total: Tensor, _: Tensor):  # type: ignore[no-untyped-def]
        gradients = [None if saved is None else saved * total for saved in ctx.saved_tensors]
        return *gradients, None, None, None


def _chunk(head: Head, hidden: Tensor, targets: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the NLL [n], and the gradient [n, vocabulary] of Σ w·NLL at the products, w·(softmax − one-hot)."""
    logits = head(hidden).float()
    slope = 1 - (logits / head.cap) ** 2 if head.cap is not None else None
    normalizer = logits.logsumexp(-1, keepdim=True)
    at_target = logits.gather(-1, targets[:, None])
    probabilities = logits.sub_(normalizer).exp_()
    probabilities.scatter_add_(-1, targets[:, None], torch.full_like(at_target, -1.0))
    probabilities.mul_(weights[:, None])
    if slope is not None:
        probabilities.mul_(slope)
    return normalizer[:, 0] - at_target[:, 0], probabilities
