"""Hydra sweeper `optuna`: hands the command's overrides to persona_sweeps as studies.

Hydra executes this module in every Hydra process, so it imports nothing heavy, and no `annotations` from
`__future__`: Hydra 1.3's scanner runs it before `sys.modules` holds it.
"""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf


class OptunaSweeper(Sweeper):
    """Asks Optuna for settings, and trains them on the engine side by side; losers are ended early."""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings
        self.config: DictConfig | None = None
        self.context: HydraContext | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.config = hydra_context, config

    def sweep(self, arguments: list[str]) -> None:
        from persona_sweeps.study.start import start

        assert self.context is not None and self.config is not None
        given = {key: OmegaConf.to_container(v) if OmegaConf.is_config(v) else v for key, v in self.settings.items()}
        start(given, self.context, self.config, arguments)
