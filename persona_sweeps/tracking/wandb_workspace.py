"""A W&B workspace of a sweep, as code: tables, curves by method, settings against the metric, samples.

`wandb-workspaces` is W&B's own package for it. Without a connection the view is kept as the JSON that W&B would get.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_sweeps.records.files import write_text
from persona_sweeps.tracking.entries import RunEntry
from persona_sweeps.tracking.wandb import Wandb
from persona_sweeps.tracking.wandb_mode import choose_mode

if TYPE_CHECKING:
    from wandb_workspaces.workspaces import Section, Workspace

CURVES = ("train_nll", "eval_nll", "learning_rate", "grad_norm")
SETTINGS = ("peft.method", "peft.r", "peft.alpha", "train.learning_rate", "seed")
"""settings whose effect is drawn; those of a study's space vary most"""
TABLES = ("characters", "leaderboard", "base-vs-instruct", "lora-vs-prompt-tuning")
FILE = "workspace.json"


def write_workspace(tracker: Wandb, folder: Path, sweep: str, entries: Sequence[RunEntry]) -> str:
    """Make the view at W&B, or without a connection its JSON in the sweep's folder; return a sentence on where it is.

    Raises W&B's own errors, and OSError.
    """
    mode, why = choose_mode(tracker.mode)
    view = workspace(tracker, sweep, entries)
    if mode == "online":
        import wandb

        view.entity = view.entity or wandb.Api().default_entity or ""
        view.save()
        return f"W&B: the view {view.name} is at {view.url}"
    path = folder / "tracking" / FILE
    write_text(path, json.dumps(spec(view), indent=1, sort_keys=True) + "\n")
    return f"W&B: {why or 'it is offline'}, so the view is kept as {path}; --workspace with a connection makes it."


def workspace(tracker: Wandb, sweep: str, entries: Sequence[RunEntry]) -> Workspace:
    """Return the view of a sweep's runs."""
    import wandb_workspaces.workspaces as ws

    return ws.Workspace(
        entity=tracker.entity or "",
        project=tracker.project,
        name=f"sweep {sweep}",
        sections=list(_sections(_metrics(entries))),
        runset_settings=ws.RunsetSettings(filters=[ws.Metric("Group") == sweep]),
    )


def spec(view: Workspace) -> Any:
    """Return a view as plain containers, as W&B gets it; the package has no public way to it."""
    return json.loads(view._to_model().model_dump_json(by_alias=True, exclude_none=True))


def _sections(metrics: Sequence[str]) -> list[Section]:
    import wandb_workspaces.reports.v2 as wr
    import wandb_workspaces.workspaces as ws

    columns = [*(f"c::{key}" for key in SETTINGS), *(f"s::{name}" for name in metrics[:1])]
    settings: list[Any] = [
        wr.ParallelCoordinatesPlot(columns=[wr.ParallelCoordinatesPlotColumn(name) for name in columns])
    ]
    settings += [wr.ParameterImportancePlot(with_respect_to=name) for name in metrics[:1]]
    method = wr.Config("peft.method")
    return [
        ws.Section(
            name="Tables",
            is_open=True,
            panels=[wr.WeavePanelSummaryTable(table_name=f"tables/{name}") for name in TABLES],
        ),
        ws.Section(
            name="Curves by method",
            is_open=True,
            panels=[wr.LinePlot(title=name, x="step", y=[name], groupby=method) for name in CURVES],
        ),
        ws.Section(name="Settings", is_open=True, panels=settings),
        ws.Section(
            name="Metrics",
            panels=[wr.BarPlot(title=name, metrics=[name], groupby=method) for name in metrics],
        ),
        ws.Section(name="Samples", panels=[wr.WeavePanelSummaryTable(table_name="samples")]),
    ]


def _metrics(entries: Sequence[RunEntry]) -> list[str]:
    """Return the metrics that tables show, the most important one first; all where no metric says that it is one."""
    shown: dict[str, float] = {}
    for entry in entries:
        for name in entry.metrics:
            headline = entry.descriptions.get(name, {}).get("headline")
            shown.setdefault(name, -float(headline or 0))
    headlines = [name for name in shown if shown[name]] or list(shown)
    return sorted(headlines, key=lambda name: (shown[name], name))
