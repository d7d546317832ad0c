"""Who trains: one module a library. A contestant takes a workload and a fresh base model and trains to the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from benchmarks.measurement import Measurement

if TYPE_CHECKING:
    from benchmarks.workload import Workload
    from persona_sweeps.models.loading import BaseModel

    Contestant = Callable[[Workload, BaseModel], Measurement]


def _one_by_one(workload: Workload, base: BaseModel) -> Measurement:
    from benchmarks.contestants.engine import one_by_one

    return one_by_one(workload, base)


def _stacked(workload: Workload, base: BaseModel) -> Measurement:
    from benchmarks.contestants.engine import stacked

    return stacked(workload, base)


def _unrecorded(workload: Workload, base: BaseModel) -> Measurement:
    from benchmarks.contestants.engine import stacked

    return stacked(workload, base, records=False)


def _trl(workload: Workload, base: BaseModel) -> Measurement:
    from benchmarks.contestants.sft_trainer import padded

    return padded(workload, base)


def _trl_packed(workload: Workload, base: BaseModel) -> Measurement:
    from benchmarks.contestants.sft_trainer import packed

    return packed(workload, base)


CONTESTANTS: dict[str, Contestant] = {
    "engine": _one_by_one,
    "one-by-one": _one_by_one,
    "stacked": _stacked,
    "unrecorded": _unrecorded,
    "trl": _trl,
    "trl-packed": _trl_packed,
}
