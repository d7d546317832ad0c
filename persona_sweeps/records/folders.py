"""The paths of all files in a run's folder and in a sweep's folder."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from persona_sweeps.records.files import remove_drafts

OUTPUT_DIR = "multirun_outputs"
"""where runs and sweeps are by default"""
HYDRA_FILES = ("config.yaml", "overrides.yaml", "hydra.yaml")
"""in the .hydra folder of a run"""


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Names the files of one run."""

    path: Path

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @property
    def hydra(self) -> Path:
        return self.path / ".hydra"

    @property
    def history(self) -> Path:
        return self.path / "history.jsonl"

    @property
    def adapter(self) -> Path:
        return self.path / "adapter"

    @property
    def model(self) -> Path:
        """The whole model, if all of it was trained."""
        return self.path / "model"

    @property
    def checkpoint(self) -> Path:
        """The state from which an interrupted run resumes; removed once the run has finished."""
        return self.path / "checkpoint"

    @property
    def lease(self) -> Path:
        """The folder that says which process is working on the run."""
        return self.path / "lease"

    @property
    def log(self) -> Path:
        return self.path / "run.log"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    @property
    def evaluations(self) -> Path:
        return self.path / "evaluations"

    def prediction_lines(self, prediction_id: str) -> Path:
        """One line an item."""
        return self.predictions / f"{prediction_id}.jsonl"

    def prediction_head(self, prediction_id: str) -> Path:
        """The request, and the hash of the lines; written last."""
        return self.predictions / f"{prediction_id}.json"

    def evaluation(self, evaluation_id: str) -> Path:
        return self.evaluations / f"{evaluation_id}.json"

    def samples(self, evaluation_id: str) -> Path:
        """One line an evaluated item, with its values of the metrics."""
        return self.evaluations / f"{evaluation_id}.samples.jsonl"

    def clear_drafts(self) -> None:
        """Remove what a killed process left half written. Only for whoever holds the lease."""
        whole = [self.record, self.history, self.adapter, self.model, *(self.hydra / name for name in HYDRA_FILES)]
        for path in (*whole, self.predictions / "*", self.evaluations / "*"):
            remove_drafts(path)


@dataclass(frozen=True, slots=True)
class SweepFolder:
    """Names the files of one sweep."""

    path: Path

    @classmethod
    def of(cls, output_dir: Path | str, name: str) -> SweepFolder:
        """Return the folder of a sweep by its name."""
        return cls(Path(output_dir) / "sweeps" / name)

    @property
    def record(self) -> Path:
        return self.path / "sweep.json"

    @property
    def journal(self) -> Path:
        """The studies of a tuned sweep."""
        return self.path / "study.log"

    @property
    def groups(self) -> Path:
        """The job files, which say what each job does."""
        return self.path / "groups"

    @property
    def job_logs(self) -> Path:
        """The output of jobs."""
        return self.path / "jobs"

    @property
    def jobs(self) -> Path:
        """The list of jobs that work for the sweep."""
        return self.path / "jobs.json"


def run_folder(output_dir: Path | str, name: str, run_id: str) -> RunFolder:
    """Return a run's folder: an existing one whose name ends with its id, or else the one to create."""
    runs = Path(output_dir) / "runs"
    usual = runs / f"{name}-{run_id}"
    if usual.is_dir() or not runs.is_dir():
        return RunFolder(usual)
    return RunFolder(runs / _listed(runs, runs.stat().st_mtime_ns).get(run_id, usual.name))


@lru_cache(maxsize=2)
def _listed(runs: Path, changed: int) -> dict[str, str]:
    """Return the names of all run folders by id; `changed` is the parent's modification time, for the cache."""
    return {name.rpartition("-")[2]: name for name in sorted(os.listdir(runs), reverse=True)}
