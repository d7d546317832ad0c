"""The base of our Hydra launchers: each takes a batch of jobs as one plan, and says where it is carried out.

Hydra's plugin scanner imports this, so nothing heavy may be imported here.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

if TYPE_CHECKING:
    from persona_sweeps.execution.launch_target import LaunchTarget


class SweepLauncher(Launcher):
    """Composes all jobs, validates all before any starts, and hands the plan to a launch target."""

    def __init__(self, **settings: Any) -> None:
        self.settings = {k: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for k, v in settings.items()}
        self.config: DictConfig | None = None
        self.context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        from persona_sweeps.config.folder_names import require_folder_name
        from persona_sweeps.lifecycle.writable import require_writable

        self.context, self.config = hydra_context, config
        require_folder_name("sweep.name", config.sweep.name)  # Hydra writes multirun.yaml before any job is checked
        require_writable(config.output_dir)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from persona_sweeps.execution.hydra_jobs import launch

        assert self.context is not None and self.config is not None
        return launch(self.context, self.config, job_overrides, initial_job_idx, self.target(self.config))

    @abstractmethod
    def target(self, config: DictConfig) -> LaunchTarget:
        """Return where the plan is carried out. Raises ConfigError when its settings are wrong."""
