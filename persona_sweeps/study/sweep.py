"""The sweep of `hydra/sweeper=optuna`: a study for each combination of what the command lists."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig

from persona_sweeps.console import Console
from persona_sweeps.context import Context
from persona_sweeps.study.one import OneStudy
from persona_sweeps.study.settings import StudySettings
from persona_sweeps.study.space import dimension, is_dimension


def sweep(given: Mapping[str, Any], context: HydraContext, config: DictConfig, arguments: Sequence[str]) -> None:
    """Carry out the studies that a command asks for. Raises UserError before any run starts for what is wrong."""
    setup_globals()
    settings = StudySettings.read(given)
    parser = OverridesParser.create(config_loader=context.config_loader)
    overrides = parser.parse_overrides(list(arguments))
    named = {override.get_key_element() for override in overrides}
    overrides += parser.parse_overrides([f"{key}={text}" for key, text in settings.params.items() if key not in named])
    varied = [dimension(override) for override in overrides if is_dimension(override)]
    fixed = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
    listed = [override for override in overrides if override.is_sweep_override() and not is_dimension(override)]
    studies = [OneStudy(settings, context, config, fixed, chosen, varied) for chosen in _combinations(listed)]
    for study in studies:
        study.check()
    shared = Context.of(Console())
    for study in studies:
        study.run(shared)


def _combinations(listed: Sequence[Override]) -> list[tuple[str, ...]]:
    """Return each way to take one value of every list."""
    choices = [
        [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()] for override in listed
    ]
    return list(itertools.product(*choices))
