"""Find the device that a run would use, its memory, and whether it computes in bf16, without importing torch.

Within `planning_for` the answers describe another machine: the one that plans for a cluster may have no GPU.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from persona_sweeps.config.schema import DeviceKind, Precision

BF16_CPU_FLAGS = {"avx512_bf16", "amx_bf16", "bf16"}
BF16_COMPUTE_CAPABILITY = 8


@dataclass(frozen=True, slots=True)
class Machine:
    """The facts about another machine that planning needs; None is unknown."""

    gpus: int
    compute_capability: int
    gpu_bytes: int | None
    host_bytes: int | None


_elsewhere: list[Machine] = []


@contextlib.contextmanager
def planning_for(machine: Machine | None) -> Iterator[None]:
    """Describe the given machine, not this one, while the block runs; None changes nothing."""
    if machine is None:
        yield
        return
    _elsewhere.append(machine)
    try:
        yield
    finally:
        _elsewhere.pop()


def cuda_capability() -> int | None:
    """Return the major compute capability of the first CUDA device, or None if there is none to use."""
    if _elsewhere:
        return _elsewhere[-1].compute_capability if _elsewhere[-1].gpus else None
    return _local_capability()


@cache
def _local_capability() -> int | None:
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    device, major = ctypes.c_int(), ctypes.c_int()
    attribute = 75  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
    ok = cuda.cuInit(0) == 0 and cuda.cuDeviceGet(ctypes.byref(device), 0) == 0
    if ok and cuda.cuDeviceGetAttribute(ctypes.byref(major), attribute, device) == 0:
        return major.value
    return None


@cache
def cpu_has_bf16() -> bool:
    """Return whether this CPU multiplies bf16 in hardware, as /proc/cpuinfo says; False where there is no such file."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return bool(BF16_CPU_FLAGS & set(flags.split()))


def device_count() -> int:
    """Return how many GPUs this process may use (CUDA_VISIBLE_DEVICES counts)."""
    return _elsewhere[-1].gpus if _elsewhere else _local_devices()


@cache
def _local_devices() -> int:
    if cuda_capability() is None:
        return 0
    count = ctypes.c_int()
    return count.value if ctypes.CDLL("libcuda.so.1").cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def memory_bytes(device: str) -> int | None:
    """Return the bytes of the first GPU's memory, or of this machine's (or its cgroup's); None if unknown."""
    return _cuda_memory(0) if device == "cuda" else _host_memory()


def total_memory_bytes(device: str) -> int | None:
    """Return the bytes of all GPUs' memory together, or of this machine's; None if unknown."""
    if device != "cuda":
        return memory_bytes(device)
    memories = [_cuda_memory(index) for index in range(device_count())]
    return sum(memory for memory in memories if memory is not None) or None


def devices_for(weights_bytes: int, device: str) -> int:
    """Return how many devices hold a base model: one, or all GPUs if its weights exceed the first one's memory."""
    memory = memory_bytes(device)
    return max(1, device_count()) if device == "cuda" and memory is not None and weights_bytes > memory else 1


def memory_for(weights_bytes: int, device: str) -> int | None:
    """Return the bytes of memory of the devices that hold a base model; None if unknown."""
    return total_memory_bytes(device) if devices_for(weights_bytes, device) > 1 else memory_bytes(device)


def _cuda_memory(index: int) -> int | None:
    return _elsewhere[-1].gpu_bytes if _elsewhere else _local_cuda_memory(index)


@cache
def _local_cuda_memory(index: int) -> int | None:
    if cuda_capability() is None:
        return None
    cuda = ctypes.CDLL("libcuda.so.1")
    device, total = ctypes.c_int(), ctypes.c_size_t()
    ok = cuda.cuDeviceGet(ctypes.byref(device), index) == 0
    return total.value if ok and cuda.cuDeviceTotalMem_v2(ctypes.byref(total), device) == 0 else None


def _host_memory() -> int | None:
    return _elsewhere[-1].host_bytes if _elsewhere else _local_memory()


@cache
def _local_memory() -> int | None:
    limits = []
    with contextlib.suppress(OSError, ValueError, AttributeError):
        limits.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    with contextlib.suppress(OSError, ValueError):
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return min(limits, default=None)


def resolve_device(configured: DeviceKind) -> str:
    """Return cpu or cuda; auto is the GPU if there is one."""
    if configured is DeviceKind.auto:
        return "cuda" if cuda_capability() is not None else "cpu"
    return configured.value


def resolve_precision(configured: Precision, device: str) -> Precision:
    """Return bf16 or fp32; auto is bf16 if the device has units for it."""
    if configured is not Precision.auto:
        return configured
    has_units = (cuda_capability() or 0) >= BF16_COMPUTE_CAPABILITY if device == "cuda" else cpu_has_bf16()
    return Precision.bf16 if has_units else Precision.fp32
