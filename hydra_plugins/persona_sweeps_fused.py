"""Hydra launcher `fused`: hands a batch of jobs to persona_sweeps as one plan.

Hydra executes this module in every Hydra process, so it imports nothing heavy, and no `annotations` from
`__future__`: Hydra 1.3's scanner runs it before `sys.modules` holds it.
"""

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class FusedLauncher(Launcher):
    """Composes all jobs, validates all before any starts, and trains those of one base model in one pass."""

    def __init__(self, **_: Any) -> None:
        self.config: DictConfig | None = None
        self.context: HydraContext | None = None
        self.task_function: TaskFunction | None = None
        self.launched: list = []

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.task_function, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from persona_sweeps.launching import launch

        assert self.context is not None and self.config is not None
        returns, cells = launch(self.context, self.config, job_overrides, initial_job_idx, self.launched)
        self.launched += cells
        return returns
