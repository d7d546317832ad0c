"""The device and precision of a run, found without torch."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from persona_sweeps import device
from persona_sweeps.config.schema import DeviceKind, Precision
from persona_sweeps.device import resolve_device, resolve_precision


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Pretend another machine: a GPU of this compute capability (None: no GPU), a CPU with or without bf16."""

    def pretend(capability: int | None, cpu_bf16: bool = False) -> None:
        monkeypatch.setattr(device, "cuda_capability", lambda: capability)
        monkeypatch.setattr(device, "cpu_has_bf16", lambda: cpu_bf16)

    return pretend


@pytest.mark.parametrize("capability, chosen", [(None, "cpu"), (7, "cuda"), (9, "cuda")])
def test_auto_is_the_gpu_where_there_is_one(machine, capability: int | None, chosen: str) -> None:
    machine(capability)
    assert resolve_device(DeviceKind.auto) == chosen


@pytest.mark.parametrize("kind", [DeviceKind.cpu, DeviceKind.cuda])
def test_what_is_asked_for_is_what_one_gets(machine, kind: DeviceKind) -> None:
    machine(8)
    assert resolve_device(kind) == kind.value


@pytest.mark.parametrize(
    "where, capability, cpu_bf16, chosen",
    [
        ("cuda", 8, False, Precision.bf16),
        ("cuda", 7, True, Precision.fp32),
        ("cpu", 9, False, Precision.fp32),
        ("cpu", None, True, Precision.bf16),
    ],
)
def test_auto_precision_is_bf16_where_the_device_has_units_for_it(
    machine, where: str, capability: int | None, cpu_bf16: bool, chosen: Precision
) -> None:
    machine(capability, cpu_bf16)
    assert resolve_precision(Precision.auto, where) is chosen


@pytest.mark.parametrize("asked", [Precision.bf16, Precision.fp32])
def test_an_explicit_precision_stays(machine, asked: Precision) -> None:
    machine(None)
    assert resolve_precision(asked, "cpu") is asked


def test_the_answer_agrees_with_torch_and_is_found_without_it() -> None:
    import torch

    code = "import sys; from persona_sweeps.device import *; print(cuda_capability(), 'torch' in sys.modules)"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    capability = str(torch.cuda.get_device_capability()[0]) if torch.cuda.is_available() else "None"
    assert printed == [capability, "False"]


def test_gpus_are_counted_as_torch_counts_them() -> None:
    import torch

    assert device.device_count() == torch.cuda.device_count()
