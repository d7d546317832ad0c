"""Summarize a study: write sweep.json with a row for each trial, and print the best trial or the front."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import distribution_to_json
from optuna.study import Study
from optuna.trial import FrozenTrial, TrialState

from persona_sweeps.errors import UserError
from persona_sweeps.planning.console import Console
from persona_sweeps.records.evaluation import outcome
from persona_sweeps.records.folders import RunFolder, SweepFolder
from persona_sweeps.records.sweep import write_sweep
from persona_sweeps.study.front import print_front
from persona_sweeps.study.settings import StudySettings
from persona_sweeps.study.space import Space
from persona_sweeps.study.storage import EVALUATION, FINALS, FOLDER, OVERRIDES, REASON, RUN, StudyStorage, open_journal

STATES = {
    TrialState.COMPLETE: "completed",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
    TrialState.WAITING: "planned",
}


def write_studies(journal: Path, sweep: str, output_dir: Path) -> Path:
    """Write the sweep's record with all trials of all studies in its journal; return its path."""
    files = SweepFolder(journal.parent)
    storage = open_journal(journal)
    names = [summary.study_name for summary in optuna.get_all_study_summaries(storage)]
    studies = [optuna.load_study(study_name=name, storage=storage) for name in names]
    rows = [row for study in studies for row in _rows(study, output_dir)]
    write_sweep(files, sweep, rows, {study.study_name: _description(study) for study in studies})
    return files.record


def _description(study: Study) -> Mapping[str, Any]:
    """Return a study's settings; its space has Optuna's JSON of distributions."""
    attributes = study.user_attrs
    space = {
        key: json.loads(distribution_to_json(distribution))
        for trial in study.get_trials(deepcopy=False)
        for key, distribution in trial.distributions.items()
    }
    return {
        "metric": attributes["metric"],
        "direction": [direction.name.lower() for direction in study.directions],
        "sampler": attributes["sampler"],
        "pruner": attributes["pruner"]["pruner"],
        **attributes["budget"],
        "space": space,
    }


def _rows(study: Study, output_dir: Path) -> Iterator[Mapping[str, Any]]:
    """Yield a row for each trial that has a run, then one for each final run."""
    for trial in study.get_trials(deepcopy=False):
        if RUN in trial.user_attrs:
            yield _row(study.study_name, trial)
    for row in study.user_attrs.get(FINALS, []):
        status = outcome(RunFolder(output_dir / row["folder"]), row["evaluation_id"]).status
        yield {**row, "state": status, "study": study.study_name, "final": True}


def _row(study: str, trial: FrozenTrial) -> Mapping[str, Any]:
    attributes = trial.user_attrs
    return {
        "overrides": attributes[OVERRIDES],
        "run_id": attributes[RUN],
        "evaluation_id": attributes[EVALUATION],
        "folder": attributes[FOLDER],
        "state": STATES[trial.state],
        "study": study,
        "trial": trial.number,
        "params": trial.params,
    }


def conclude(storage: StudyStorage, space: Space, settings: StudySettings, console: Console) -> None:
    """Report the states of the trials, and the best one, or with several metrics the front.

    Raises UserError if none was completed.
    """
    trials = storage.trials()
    count = Counter(STATES[trial.state] for trial in trials)
    states = ", ".join(f"{count[state]} {state}" for state in ("completed", "pruned", "failed"))
    console.note(f"Study {storage.study.study_name}: {states}; the journal is {storage.journal}.")
    if not count["completed"]:
        failed = [trial for trial in trials if trial.state is TrialState.FAIL]
        why = f" The first failure: {failed[0].user_attrs.get(REASON)}" if failed else ""
        raise UserError(f"Study {storage.study.study_name}: no trial was completed.{why}")
    if len(settings.metric) > 1:
        print_front(storage, space, settings, console)
        return
    best = storage.study.best_trial
    chosen = " ".join(dimension.override(best.params[dimension.key]) for dimension in space)
    console.note(f"Best: trial {best.number}, {settings.metric[0]} {best.values[0]:.4g}: {chosen}")
    console.note(f"  {best.user_attrs[FOLDER]}")
