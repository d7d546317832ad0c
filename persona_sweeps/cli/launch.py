"""The command `launch.py`: Hydra composes a config, mistakes are reported in a sentence, and cells are carried out."""

from __future__ import annotations

import contextlib
import os
import sys

import hydra
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from persona_sweeps.cli.arguments import arranged
from persona_sweeps.cli.spelling import require_readable
from persona_sweeps.config.folder import conf_folder
from persona_sweeps.config.schema import PlanMode, register_schemas
from persona_sweeps.errors import UserError
from persona_sweeps.execution.cluster_job import this_job
from persona_sweeps.lifecycle import stopping
from persona_sweeps.lifecycle.lease import name_job
from persona_sweeps.lifecycle.stopping import INTERRUPTED, Detached, Stopped

KEPT = "Completed runs are kept, and those in training were saved: the same command goes on from there."
GOING_ON = "The jobs go on: the same command comes back to them, and with status=only it says how they stand."
FULL_ERROR = "HYDRA_FULL_ERROR"
GROUPS_OF_HYDRA = ("hydra/launcher", "hydra/sweeper")
"""Hydra's groups for which this project has options"""


def run(config: DictConfig) -> str:
    """Carry out one composed config and return its run id; this is Hydra's task function.

    A mistake ends the process here, since Hydra would print its own text before the sentence. In a job of a sweep
    (hydra/launcher=basic) it is raised, so that the other jobs go on.
    """
    try:
        return _run(config)
    except (UserError, OmegaConfBaseException) as error:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        from persona_sweeps.config.mistakes import explain

        if HydraConfig.get().mode is RunMode.MULTIRUN:
            raise

        sys.exit(f"error: {explain(error, conf_folder())}")


def _run(config: DictConfig) -> str:
    from hydra.core.hydra_config import HydraConfig

    from persona_sweeps.execution.execute import execute, failures
    from persona_sweeps.planning.cells import make_cell
    from persona_sweeps.planning.review import blocked, refusal

    settings = HydraConfig.get()
    hydra_config = OmegaConf.to_container(settings, resolve=False, enum_to_str=True)
    assert isinstance(hydra_config, dict)
    cell = make_cell(config, list(settings.overrides.task), hydra_config)  # type: ignore[arg-type]
    plan = execute([cell], sweep=None)
    if cell.config.plan is PlanMode.only and (unable := len(blocked(plan.cells))):
        raise refusal([], 1, unable)
    failed = failures(plan)
    if failed and not cell.config.only_reports:
        outcome = failed[0].outcome
        path = cell.folder.evaluation(cell.evaluation_id) if outcome.evaluation else cell.folder.record
        where = f"{path} has the reason" if outcome.reason else "its record couldn't be written"
        raise UserError(f"the run failed; {where}.")
    return cell.run_id


def config_groups() -> str:
    """Return the config groups with their options for --help, one group a line."""
    from persona_sweeps.config.mistakes import groups, options

    conf = conf_folder()
    return "\n".join(f"{group}: {', '.join(options(conf, group))}" for group in [*groups(conf), *GROUPS_OF_HYDRA])


def main() -> None:
    """Run the command line; after a user's mistake, exit with code 1 and one sentence."""
    # torch reads this when it is loaded: waiting threads sleep. By default they spin, which on shared cores takes half
    # as much CPU time again, and longer.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    job = this_job()
    name_job(job.id if job is not None else None)
    try:
        require_readable(sys.argv[1:])
        sys.argv[1:] = arranged(sys.argv[1:])
    except UserError as error:
        sys.exit(f"error: {error}")
    register_schemas()
    OmegaConf.register_new_resolver("config_groups", config_groups, replace=True)
    application = hydra.main(version_base="1.3", config_path=str(conf_folder()), config_name="config")(run)
    wants_traceback = os.environ.get(FULL_ERROR) == "1"
    os.environ[FULL_ERROR] = "1"  # with this Hydra passes exceptions on, and they are reported here
    try:
        with stopping.heard() as stop, stop.at_once():
            application()
    except Stopped as stopped:
        with contextlib.suppress(OSError):  # the terminal may be gone
            left = isinstance(stopped, Detached)
            message = f"Left by {stopped}. {GOING_ON}" if left else f"Stopped by {stopped}. {KEPT}"
            print(message, file=sys.stderr, flush=True)
        sys.exit(stopped.exit_code)
    except KeyboardInterrupt:
        print("\nInterrupted at once. Completed runs are kept: the same command goes on from there.", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except Exception as error:
        from persona_sweeps.config.mistakes import explain

        sentence = explain(error, conf_folder())
        if sentence is None or wants_traceback:
            raise
        sys.exit(f"error: {sentence}")
    finally:
        if not wants_traceback:
            os.environ.pop(FULL_ERROR, None)
