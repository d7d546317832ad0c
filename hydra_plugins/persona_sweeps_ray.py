"""Hydra launcher `ray`: carries out a sweep as tasks of a Ray cluster.

Hydra executes this module in every Hydra process, so it imports nothing heavy, and no `annotations` from
`__future__`: Hydra 1.3's scanner runs it before `sys.modules` holds it.
"""

from typing import Any

from omegaconf import DictConfig

from persona_sweeps.execution.hydra_launcher import SweepLauncher


class RayLauncher(SweepLauncher):
    def target(self, config: DictConfig) -> Any:
        from persona_sweeps.execution.ray import ray_target

        return ray_target(self.settings, config)
