"""Hydra launcher `local`: carries out a sweep in worker processes on this machine.

Hydra executes this module in every Hydra process, so it imports nothing heavy, and no `annotations` from
`__future__`: Hydra 1.3's scanner runs it before `sys.modules` holds it.
"""

from typing import Any

from omegaconf import DictConfig

from persona_sweeps.execution.hydra_launcher import SweepLauncher


class LocalLauncher(SweepLauncher):
    def target(self, config: DictConfig) -> Any:
        from persona_sweeps.execution.local import local_target

        return local_target(self.settings, config)
