"""Hydra's sweeper `basic`, less its second composition of every job: our launchers check all jobs before they start.

Hydra executes this module in every Hydra process, so it imports nothing heavy, and no `annotations` from
`__future__`: Hydra 1.3's scanner runs it before `sys.modules` holds it. It does so after its own plugins, so that this
replaces what `hydra/sweeper=basic` was; its keys stay.
"""

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore

from persona_sweeps.execution.hydra_launcher import SweepLauncher


class GridSweeper(BasicSweeper):
    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        if not isinstance(self.launcher, SweepLauncher):
            super().validate_batch_is_legal(batch)


ConfigStore.instance().store(
    group="hydra/sweeper",
    name="basic",
    node={"_target_": "hydra_plugins.persona_sweeps_grid.GridSweeper", "max_batch_size": None, "params": None},
    provider="persona_sweeps",
)
