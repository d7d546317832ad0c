"""Devices that only pretend to be apart: their numbers all lie in this machine's memory, but may not meet.

A tensor's device is a label on its storage. What makes or moves a tensor labels it; every operation, those of the
backward pass too, checks that what it is given bears one label, as a GPU's kernels do, and labels its results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

HOST = torch.device("cpu")
PRETENDED = (torch.device("cpu", 0), torch.device("cpu", 1))
"""what is a CPU with a number to torch is a GPU here"""
ANYWHERE = torch.device("meta")
"""where the backward pass makes its zeros, in C++ that knows nothing of labels; they go with any device"""
MOVES = ("aten::copy_", "aten::set_")
BY_ELEMENT = ("aten::_foreach_", "aten::_fused_")
"""take lists whose n-th tensors belong together"""


class Labels:
    """The device of each storage that isn't the host's."""

    def __init__(self) -> None:
        self._of: dict[int, tuple[StorageWeakRef, torch.device]] = {}  # the reference keeps the key from being reused

    def get(self, tensor: Tensor) -> torch.device:
        found = self._of.get(tensor.untyped_storage()._cdata)
        return HOST if found is None else found[1]

    def put(self, tensor: Tensor, device: torch.device) -> None:
        storage = tensor.untyped_storage()
        self._of.pop(storage._cdata, None)
        if device != HOST:
            self._of[storage._cdata] = StorageWeakRef(storage), device


class _Move(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, tensor: Tensor, labels: Labels, device: torch.device) -> Tensor:
        ctx.labels, ctx.home = labels, labels.get(tensor)
        return _copied(tensor, labels, device)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return _copied(gradient, ctx.labels, ctx.home), None, None


def _copied(tensor: Tensor, labels: Labels, device: torch.device) -> Tensor:
    copy = tensor.clone()
    labels.put(copy, device)
    return copy


class _Calls(TorchFunctionMode):
    """Calls from Python that make a tensor on a device, move one, or ask where it is."""

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self.labels = labels

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func == Tensor.device.__get__:
            home = self.labels.get(args[0])
            return HOST if home == ANYWHERE else home
        if func in (torch.device, torch._C._nn._parse_to):
            return func(*args, **kwargs)
        if func is Tensor.numpy and self.labels.get(args[0]) != HOST:
            raise RuntimeError("a tensor on a device has no numpy array")
        asked = [value for value in (*args, *kwargs.values()) if isinstance(value, torch.device)]
        if func is Tensor.cpu:
            asked = [HOST]
        args, kwargs = tree_map(_on_host, (tuple(args), dict(kwargs)))
        result = func(*args, **kwargs)
        if not isinstance(result, Tensor):
            return result
        if not asked and self.labels.get(result) == ANYWHERE:
            asked = [HOST]
        if not asked or self.labels.get(result) == asked[0]:
            return result
        if func in (Tensor.to, Tensor.cpu):
            return _Move.apply(result, self.labels, asked[0])
        self.labels.put(result, asked[0])
        return result


def _on_host(value: Any) -> Any:
    return HOST if isinstance(value, torch.device) else value


class _Operations(TorchDispatchMode):
    """All operations, whoever calls them: their arguments must be on one device."""

    def __init__(self, labels: Labels) -> None:
        super().__init__()
        self.labels = labels
        self.counts = dict.fromkeys(PRETENDED, 0)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        given = [value for value in tree_leaves((args, kwargs)) if isinstance(value, Tensor)]
        homes = [self.labels.get(tensor) for tensor in given]
        # A number on the host goes with any device.
        meeting = {home for tensor, home in zip(given, homes, strict=True) if tensor.dim() or home != HOST}
        meeting.discard(ANYWHERE)
        apart = func._schema.name.startswith((*MOVES, *BY_ELEMENT))
        if len(meeting) > 1 and not apart:
            raise RuntimeError(f"{func} was given tensors on {', '.join(sorted(map(str, meeting)))}")
        result = func(*args, **kwargs)
        made = [value for value in tree_leaves(result) if isinstance(value, Tensor)]
        for index, tensor in enumerate(made):
            home = homes[index] if apart else next(iter(meeting), HOST if set(homes) - {ANYWHERE} else ANYWHERE)
            if home != HOST:
                self.counts[home] = self.counts.get(home, 0) + 1
                self.labels.put(tensor, home)
        return result


@contextmanager
def pretended_devices() -> Iterator[dict[torch.device, int]]:
    """Let the `PRETENDED` devices exist; give how many results each has computed, which goes on counting."""
    labels = Labels()
    operations = _Operations(labels)
    with operations, _Calls(labels):
        yield operations.counts
