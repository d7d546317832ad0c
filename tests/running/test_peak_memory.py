"""A group's peak is its own, whatever the process held before."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from persona_sweeps.models.loading import BaseModel
from persona_sweeps.running import peak_memory

IN_A_PROCESS = """
import sys, torch
from persona_sweeps.running.peak_memory import peak_rss_bytes, restart_peaks
before = peak_rss_bytes()
many = [torch.ones(25_000) for _ in range(3000)]  # 300 MB in pieces that the allocator keeps when they are freed
held = peak_rss_bytes()
del many
restart_peaks()
after = peak_rss_bytes()
block = torch.ones(50_000_000)
print(before, held, after, peak_rss_bytes())
"""


@pytest.mark.skipif(not os.access("/proc/self/clear_refs", os.W_OK), reason="only Linux resets the high-water mark")
def test_what_was_freed_before_does_not_count() -> None:
    done = subprocess.run([sys.executable, "-c", IN_A_PROCESS], capture_output=True, text=True, timeout=60)
    before, held, after, later = (int(text) / 1e6 for text in done.stdout.split())
    assert held - before > 290, done.stderr
    assert after - before < 60
    assert 190 < later - after < 260


def test_without_proc_it_is_the_peak_since_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = 0.9 * peak_memory.peak_rss_bytes()
    monkeypatch.setattr(peak_memory, "_STATUS", tmp_path / "none")
    monkeypatch.setattr(peak_memory, "_CLEAR_REFS", tmp_path / "none" / "none")
    peak_memory.restart_peaks()
    assert peak_memory.peak_rss_bytes() > here > 100_000_000


def test_without_a_gpu_there_is_no_peak_of_one() -> None:
    import torch

    assert (peak_memory.peak_device_bytes() is None) == (not torch.cuda.is_available())


def test_a_base_is_kept_for_the_next_group_and_given_up_for_another_quantization(make_cell: Callable) -> None:
    pytest.importorskip("bitsandbytes")
    from persona_sweeps.running.bases import BaseCache

    cache = BaseCache()
    tiny = ("model=gpt2", "model.scale=tiny", "train.max_length=512", "device=cpu")
    messages: list[str] = []

    def get(*overrides: str) -> BaseModel:
        return cache.get(make_cell(*tiny, *overrides), messages.append)

    plain = get()
    assert get("peft=none") is plain and len(messages) == 1
    quantized = get("quantization=int8")
    assert quantized is not plain and quantized is get("quantization=int8", "seed=1")
    assert get("quantization=int8", "quantization.threshold=0") is not quantized and len(messages) == 3
