"""Freed memory is kept for the next step, until more lies about than any step has needed."""

from __future__ import annotations

import torch

from persona_sweeps.training.memory import GROWTH, HeapWatch, _resident_bytes, keep_freed_memory

BLOCK = 1 << 20


def half_as_much_again() -> list[torch.Tensor]:
    """Blocks that together are half of what the process holds; small enough for the heap."""
    return [torch.ones(BLOCK, dtype=torch.uint8) for _ in range(int(0.5 * resident() / BLOCK))]


def resident() -> int:
    held = _resident_bytes()
    assert held is not None
    return held


def test_what_a_step_left_is_handed_back_once_it_is_more_than_the_largest_step_needed() -> None:
    assert keep_freed_memory()
    watch = HeapWatch()
    assert not watch.after_step(), "the first step's memory is what a step needs"
    before = resident()
    assert half_as_much_again()  # and freed at once
    assert resident() > GROWTH * before, "kept, and nobody's"
    assert watch.after_step() and resident() < GROWTH * before
    assert not watch.after_step()


def test_a_step_that_needs_more_from_a_clean_heap_raises_the_bar() -> None:
    watch = HeapWatch()
    watch.after_step()
    needed = half_as_much_again()
    assert watch.after_step(), "it can't be distinguished yet from pieces"
    assert not watch.after_step() and not watch.after_step(), "the same again was needed from a clean heap"
    assert needed
