"""`tracker=mlflow`: MLflow, with an experiment for each sweep and an MLflow run for each run."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from persona_sweeps.tracking.tracker import SAMPLE_COLUMNS, Tracker, flat, sample_row

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from persona_sweeps.tracking.entries import RunEntry, TableEntry

ID = "persona_sweeps.id"
"""the tag by which a run is found again"""
_BATCH = 100
"""most params or metrics of one call; MLflow takes 100 params and 1,000 metrics"""
_LONGEST = 5000
"""letters of a param; MLflow takes 6,000"""
_STATES = {"failed": "FAILED", "interrupted": "KILLED"}
"""MLflow has no state of a pruned run, which is no failure: it is finished, and its tag says how"""


@dataclass
class MLflow(Tracker):
    """Writes runs to an MLflow store: by default a SQLite file beside the runs."""

    uri: str | None = None
    adapters: bool = True

    name: ClassVar[str] = "mlflow"
    package: ClassVar[str] = "mlflow"

    def target(self, output_dir: Path) -> str:
        """Return the store's address."""
        return self.uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{output_dir.absolute() / 'mlflow.db'}"

    def session(self, output_dir: Path, sweep: str) -> MLflowSession:
        return MLflowSession(self, output_dir, sweep)


class MLflowSession:
    """MLflow at work. A run that is there is gone on with: MLflow keeps a point that comes twice once."""

    live = True

    def __init__(self, tracker: MLflow, output_dir: Path, sweep: str) -> None:
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")  # else it says how it makes its tables
        from mlflow import MlflowClient

        self._uri = tracker.target(output_dir)
        self._client = MlflowClient(tracking_uri=self._uri)
        self._adapters = tracker.adapters
        self._shown = False
        found = self._client.get_experiment_by_name(sweep)
        local = (output_dir / "mlflow" / sweep).absolute().as_uri() if self._uri.startswith("sqlite:") else None
        self._experiment = found.experiment_id if found else self._client.create_experiment(sweep, local)

    def open(self, entry: RunEntry) -> MLflowRun:
        """Begin a run, or go on with the one that has this id."""
        self._shown = True
        began = int(entry.created * 1000)
        tags = {ID: entry.id, "job_type": entry.job_type, "sweep": entry.sweep}
        run = self._run(entry.id, entry.name, tags, began)
        return MLflowRun(self._client, run, entry, self._adapters)

    def show_tables(self, tables: Sequence[TableEntry]) -> None:
        run = self._run("tables", "tables", {ID: "tables", "job_type": "tables"}, None)
        for table in tables:
            _log_table(self._client, run, f"{table.name}.json", table.columns, table.rows)
        self._client.set_terminated(run, "FINISHED")

    def close(self) -> Sequence[str]:
        if not self._shown:
            return []
        local = self._uri.startswith("sqlite:")
        how = f"`mlflow ui --backend-store-uri {self._uri}` shows the runs" if local else f"runs are at {self._uri}"
        return [f"MLflow: {how}."]

    def _run(self, name: str, shown: str, tags: Mapping[str, str], began: int | None) -> str:
        found = self._client.search_runs([self._experiment], f"tags.`{ID}` = '{name}'", max_results=1)
        if found:
            run = str(found[0].info.run_id)
            self._client.update_run(run, status="RUNNING")
            return run
        made = self._client.create_run(self._experiment, run_name=shown, tags=dict(tags), start_time=began)
        return str(made.info.run_id)


class MLflowRun:
    """An open MLflow run; `points` of earlier attempts are sent again, which changes nothing."""

    points = 0

    def __init__(self, client: MlflowClient, run: str, entry: RunEntry, adapters: bool) -> None:
        self.id = entry.id
        self._client, self._run, self._adapters = client, run, adapters
        self._began = int(entry.created * 1000)
        self._step = 0

    def log(self, index: int, point: Mapping[str, float]) -> None:
        self._step = int(point["step"])
        at = self._began + int(point.get("seconds", 0) * 1000)
        self._metrics({key: value for key, value in point.items() if key != "step"}, at)

    def finish(self, entry: RunEntry) -> None:
        from mlflow.entities import Param

        params = [Param(key, str(value)[:_LONGEST]) for key, value in flat(entry.config) if _is_param(key)]
        for place in range(0, len(params), _BATCH):
            self._client.log_batch(self._run, params=params[place : place + _BATCH])
        self._metrics({f"final/{key}": value for key, value in entry.metrics.items()}, self._began)
        samples = [sample_row(sample) for sample in entry.samples()]
        if samples:
            _log_table(self._client, self._run, "samples.json", SAMPLE_COLUMNS, samples)
        self._client.log_dict(self._run, dict(entry.config), "config.json")
        if self._adapters and entry.job_type in ("train", "final") and entry.folder.adapter.is_dir():
            self._client.log_artifacts(self._run, str(entry.folder.adapter), "adapter")
        facts = {key: str(value) for key, value in entry.facts.items() if key in ("status", "reason")}
        for key, text in {**facts, "tags": ",".join(entry.tags)}.items():
            self._client.set_tag(self._run, key, text)
        self._client.set_terminated(self._run, _STATES.get(entry.status, "FINISHED"))

    def _metrics(self, values: Mapping[str, float], at: int) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(key, float(value), at, self._step) for key, value in values.items()]
        for place in range(0, len(metrics), _BATCH):
            self._client.log_batch(self._run, metrics=metrics[place : place + _BATCH])


def _is_param(key: str) -> bool:
    """Whether a setting is one that people compare runs by; config.json has all of them."""
    return key.partition(".")[0] not in ("provenance", "resources", "training", "data") or key.endswith("_fingerprint")


def _log_table(
    client: MlflowClient, run: str, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Log a table in the form in which MLflow's page shows tables (that of `log_table`, which needs pandas)."""
    client.log_dict(run, {"columns": list(columns), "data": [list(row) for row in rows]}, name)
    logged = json.loads(client.get_run(run).data.tags.get("mlflow.loggedArtifacts", "[]"))
    if (table := {"path": name, "type": "table"}) not in logged:
        client.set_tag(run, "mlflow.loggedArtifacts", json.dumps([*logged, table]))
