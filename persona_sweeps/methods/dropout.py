"""Dropout whose mask is a function of the trial's seed, its step, the layer and the token's path, not of call order.

A mask drawn from a generator would depend on how the batch was packed and divided. This one is hashed from what
identifies an activation, so it is the same packed or padded, whole or in micro-batches, solo or in a group, on any
device.
"""

from __future__ import annotations

import torch
from torch import Tensor

_MIX = -0x61C8864680B583EB  # 2**64 / golden ratio, as a signed 64-bit integer
_FINISH = -0x40A7B892E31B1A47  # an odd constant of the splitmix64 finalizer
_SPAN = float(1 << 64)
_LARGEST = float((1 << 63) - (1 << 10))  # the largest double below 2**63


def _scramble(values: Tensor) -> Tensor:
    """Mix the bits of int64 values (multiply and xor-shift; overflow wraps)."""
    values = values * _MIX
    values = values ^ (values >> 32)
    return values * _FINISH


def keyed_keep_mask(keys: Tensor, salts: Tensor, features: int, probability: Tensor) -> Tensor:
    """Return the [R, L, features] bool mask of activations to keep.

    `keys` [R, L] int64 identify the tokens, `salts` [R] int64 the trial, step and layer of each row; `probability` [R]
    is the chance to drop. The product of a token's key and a feature's key gives each pair its own hash, for one
    multiplication and one xor-shift.
    """
    columns = torch.arange(1, features + 1, device=keys.device, dtype=torch.int64)
    feature_keys = _scramble(_scramble(columns[None, :] + salts[:, None])) | 1
    token_keys = _scramble(keys ^ salts[:, None])
    hashes = token_keys[:, :, None] * feature_keys[:, None, :]
    hashes = (hashes ^ (hashes >> 29)) * _FINISH
    # Exact in double precision, and computed where the probabilities are: to read them would wait for the device.
    threshold = ((probability.double() - 0.5) * _SPAN).clamp(max=_LARGEST).to(torch.int64)
    return hashes >= threshold[:, None, None]


def keyed_dropout(x: Tensor, keys: Tensor, salts: Tensor, probability: Tensor) -> Tensor:
    """Drop activations x [R, L, features] with each row's probability [R], scaling the kept ones by 1 / (1 - p)."""
    keep = keyed_keep_mask(keys, salts, x.shape[-1], probability)
    scale = (1.0 / (1.0 - probability)).to(x.dtype)
    return torch.where(keep, x * scale[:, None, None], torch.zeros((), dtype=x.dtype, device=x.device))
