"""Hydra launcher `slurm`: carries out a sweep in SLURM jobs.

Hydra executes this module in every Hydra process, so it imports nothing heavy, and no `annotations` from
`__future__`: Hydra 1.3's scanner runs it before `sys.modules` holds it.
"""

from typing import Any

from omegaconf import DictConfig

from persona_sweeps.execution.hydra_launcher import SweepLauncher


class SlurmLauncher(SweepLauncher):
    def target(self, config: DictConfig) -> Any:
        from persona_sweeps.execution.slurm.backend import slurm_target

        return slurm_target(self.settings, config)
