"""The host memory that a group's job asks for, where the settings leave it to the preflight."""

from __future__ import annotations

from persona_sweeps.execution.backend import Task
from persona_sweeps.planning.preflight import Predictions, group_bytes

GB = 1e9
BESIDE_WEIGHTS = 6.0
"""GB of host memory beside the weights, where GPUs hold the training"""
HEADROOM = 1.3
"""times what the preflight predicts: schedulers kill what exceeds its memory"""
LEAST = 2.0
UNKNOWN = 12.0
"""GB where nothing was predicted"""


def host_gb(task: Task, predictions: Predictions, gpus: int) -> float:
    """Return the GB of host memory that a group will take in a job with so many GPUs, with some to spare."""
    known = [predictions[cell.run_id] for cell in task.cells if cell.run_id in predictions]
    if not known:
        return UNKNOWN
    if not gpus:
        return max(LEAST, HEADROOM * group_bytes(known, on_cpu=True) / GB)
    return HEADROOM * max(found.weights_bytes for found in known) / GB + BESIDE_WEIGHTS
