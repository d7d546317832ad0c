"""The sweep of `hydra/sweeper=optuna`: a study for each combination of the values of the command's lists."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.utils import setup_globals
from hydra.types import HydraContext
from omegaconf import DictConfig

from persona_sweeps.device import planning_for
from persona_sweeps.execution.execute import row_of
from persona_sweeps.execution.launch_target import LaunchTarget
from persona_sweeps.lifecycle.writable import require_writable
from persona_sweeps.planning.compose import Composer
from persona_sweeps.planning.console import Console
from persona_sweeps.running.context import Context
from persona_sweeps.study.settings import StudySettings
from persona_sweeps.study.space import dimension, is_dimension
from persona_sweeps.study.study import OneStudy
from persona_sweeps.study.study_work import distribute
from persona_sweeps.tracking.follower import following

NOT_FOR_JOBS = ("hydra/launcher=", "hydra.launcher.", "hydra.mode=", "hydra.searchpath=")
"""overrides that a study's job doesn't get, since it trains all its trials in its own process"""


def sweep(
    given: Mapping[str, Any], context: HydraContext, config: DictConfig, arguments: Sequence[str], target: LaunchTarget
) -> None:
    """Carry out a command's studies. Raises UserError for a mistake, before any run starts."""
    setup_globals()
    settings = StudySettings.read(given)
    parser = OverridesParser.create(config_loader=context.config_loader)
    overrides = parser.parse_overrides(list(arguments))
    named = {override.get_key_element() for override in overrides}
    overrides += parser.parse_overrides([f"{key}={text}" for key, text in settings.params.items() if key not in named])
    varied = [dimension(override) for override in overrides if is_dimension(override)]
    fixed = [str(override.input_line) for override in overrides if not override.is_sweep_override()]
    listed = [override for override in overrides if override.is_sweep_override() and not is_dimension(override)]
    composer = Composer(context, config)
    studies = [OneStudy(settings, composer, fixed, chosen, varied) for chosen in _combinations(listed)]
    with planning_for(target.machine):
        for study in studies:
            study.check(target.obstacles)
        if studies[0].only_reports:
            for study in studies:
                study.report()
            return
    require_writable(config.output_dir)
    first, console = studies[0].least, Console()
    output_dir, name = Path(first.config.output_dir), first.config.sweep.name
    # Jobs of a study show their own trials; the sweep as a whole is shown once they are over.
    with following(first.config.tracker, output_dir, name, [], console.note) as follower:
        console.on_run = lambda cell: follower.follow(row_of(cell))
        if target.backend is not None:
            distribute(studies, target, _command(config, arguments, studies[0], target), console)
            for study in studies:
                study.conclude()
        else:
            shared = Context.of(console)
            for study in studies:
                study.run(shared)


def _command(config: DictConfig, arguments: Sequence[str], study: OneStudy, target: LaunchTarget) -> list[str]:
    """Return the arguments of a job that works on the studies, with the planned name, device and precision."""
    hydra = [text for text in config.hydra.overrides.hydra if not text.lstrip("+~").startswith(NOT_FOR_JOBS)]
    resolved = study.least.resolved
    planned = {
        "sweep.name": resolved["sweep"]["name"],
        "device": resolved["device"],
        "train.precision": resolved["train"]["precision"],
    }
    kept = [text for text in arguments if text.split("=", 1)[0] not in planned]
    search = [f"hydra.searchpath=[{','.join(target.search_path)}]"] if target.search_path else []
    planned_texts = [f"{key}={value}" for key, value in planned.items()]
    return ["-m", *kept, *planned_texts, *hydra, *search, "hydra/launcher=fused"]


def _combinations(listed: Sequence[Override]) -> list[tuple[str, ...]]:
    """Return all combinations of one value of each list."""
    choices = [
        [f"{override.get_key_element()}={value}" for value in override.sweep_string_iterator()] for override in listed
    ]
    return list(itertools.product(*choices))
