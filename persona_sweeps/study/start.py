"""The entry point of the sweeper plugin; it doesn't need Optuna, which may not be installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.types import HydraContext
from hydra.utils import get_class
from omegaconf import DictConfig

from persona_sweeps.errors import UserError
from persona_sweeps.execution.hydra_launcher import SweepLauncher


def start(given: Mapping[str, Any], context: HydraContext, config: DictConfig, arguments: Sequence[str]) -> None:
    """Carry out a command's studies. Raises UserError without Optuna, or with a launcher that trials can't join."""
    if importlib.util.find_spec("optuna") is None:
        raise UserError("hydra/sweeper=optuna needs Optuna: pip install 'persona-sweeps[study]'.")
    kind = get_class(str(config.hydra.launcher._target_))
    if not issubclass(kind, SweepLauncher):
        raise UserError("hydra/sweeper=optuna needs hydra/launcher=fused, local or slurm, which new trials can join.")
    from persona_sweeps.study.sweep import sweep

    settings = {key: value for key, value in config.hydra.launcher.items() if key != "_target_"}
    sweep(given, context, config, arguments, kind(**settings).target(config))
