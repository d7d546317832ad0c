"""From the overrides of Hydra's jobs to cells, and from their outcomes back to Hydra's job results."""

from __future__ import annotations

from collections.abc import Sequence

from hydra.core.utils import JobReturn, JobStatus, filter_overrides, setup_globals
from hydra.errors import HydraException
from hydra.types import HydraContext
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from persona_sweeps.config.schema import PlanMode
from persona_sweeps.device import planning_for
from persona_sweeps.errors import UserError
from persona_sweeps.execution.execute import execute
from persona_sweeps.execution.launch_target import THIS_PROCESS, LaunchTarget
from persona_sweeps.planning.cells import Cell, Refused, make_cell
from persona_sweeps.planning.compose import Composer
from persona_sweeps.planning.review import blocked, refusal


def launch(
    context: HydraContext,
    config: DictConfig,
    job_overrides: Sequence[Sequence[str]],
    initial_job: int,
    target: LaunchTarget = THIS_PROCESS,
) -> list[JobReturn]:
    """Carry out a batch of jobs of a sweep; return Hydra's results in order.

    A result's value is the run's metrics. Raises UserError before any run starts when jobs can't work; with plan=only
    it comes after the plan of those that do, and for cells that can't run on this machine.
    """
    if not job_overrides:
        raise UserError("This sweep has no cells: one of its lists or ranges of values is empty.")
    setup_globals()
    composer = Composer(context, config)
    cells: list[Cell] = []
    refused: list[Refused] = []
    for number, overrides in enumerate(job_overrides, start=initial_job):
        try:
            with planning_for(target.machine):
                cells.append(compose_cell(composer, overrides, number))
        except (UserError, HydraException, OmegaConfBaseException) as error:
            refused.append(Refused(tuple(filter_overrides(list(overrides))), _reason(error)))
    only_reports = PlanMode.only in (config.plan, config.status)
    if refused and not (only_reports and cells):
        raise refusal([*refused, *blocked(cells)], len(job_overrides))
    plan = execute(cells, cells[0].config.sweep.name, target)
    unable = len(blocked(plan.cells)) if config.plan == PlanMode.only else 0
    if refused or unable:
        raise refusal(refused, len(job_overrides), unable)
    return [_job_return(cell) for cell in cells]


def _reason(error: Exception) -> str:
    from persona_sweeps.config.folder import conf_folder
    from persona_sweeps.config.mistakes import explain

    return explain(error, conf_folder()) or str(error)


def compose_cell(composer: Composer, overrides: Sequence[str], number: int = 0) -> Cell:
    """Return the cell that overrides ask for. Raises UserError, or what Hydra raises, for one that can't work."""
    task, hydra = composer.job(overrides, number)
    return make_cell(task, filter_overrides(list(overrides)), hydra)


def _job_return(cell: Cell) -> JobReturn:
    """Describe a run to Hydra's sweeper, which raises the error of the first failed one when all have ended."""
    result = JobReturn()
    result.overrides = list(cell.overrides)
    result.working_dir = str(cell.folder.path)
    result.task_name = cell.name
    outcome = cell.outcome
    if cell.config.only_reports or outcome.status == "completed":
        result.status, result.return_value = JobStatus.COMPLETED, dict(outcome.metrics)
    else:
        reason = outcome.reason or "how it ended couldn't be written"
        error = UserError(f"{cell.name} failed: {reason}. All runs that could go on did; see {cell.folder.record}.")
        result.status, result.return_value = JobStatus.FAILED, error
    return result
