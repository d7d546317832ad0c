"""Hydra launcher `fused`: carries out a sweep in this process, trials of one base model in one pass.

Hydra executes this module in every Hydra process, so it imports nothing heavy, and no `annotations` from
`__future__`: Hydra 1.3's scanner runs it before `sys.modules` holds it.
"""

from typing import Any

from omegaconf import DictConfig

from persona_sweeps.execution.hydra_launcher import SweepLauncher


class FusedLauncher(SweepLauncher):
    def target(self, config: DictConfig) -> Any:
        from persona_sweeps.execution.launch_target import THIS_PROCESS

        return THIS_PROCESS
