"""A model card made of a run's record: how to use it, how it was trained, and its figures beside comparable ones."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import persona_sweeps
from persona_sweeps.analysis_package import analysis_module
from persona_sweeps.deployment.cards import card_of, persona_of
from persona_sweeps.deployment.host import FinishedRun
from persona_sweeps.models.source import Origin, locate
from persona_sweeps.records.files import read_json

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

LIBRARIES = ("torch", "transformers", "peft")
"""whose versions the card has"""


def model_card(run: FinishedRun, repo: str, record: str, output_dir: Path, merged: bool, gguf: Sequence[str]) -> str:
    """Return the repository's README: its metadata for the Hub, and what people should know.

    `record` is the name of the record's file; `gguf` are those of GGUF files, and `merged` says whether there is a
    merged model beside the adapter.
    """
    from jinja2 import Environment, StrictUndefined

    config, card, weights = run.config, card_of(run.config), locate(run.config.model)
    whole = run.folder.model.is_dir()
    template = (files(__package__) / "model_card.md.j2").read_text(encoding="utf-8")
    environment = Environment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    body = environment.from_string(template).render(
        title=run.record["name"],
        label=config.peft.label,
        base=config.model.hub_id,
        data=_data(run),
        version=persona_sweeps.__version__,
        run_id=run.record["run_id"],
        card=card,
        fence=_fence(card or ""),
        repo=repo,
        kind="model" if whole else "adapter",
        embedded=Path(weights.location).name if weights.origin is Origin.package else None,
        made_here=weights.origin in (Origin.tiny, Origin.random),
        merged=merged,
        gguf=gguf,
        settings=_settings(run),
        board=_board(run, output_dir),
        licence=config.model.licence,
        record=record,
    )
    return f"---\n{_metadata(run, whole).to_yaml()}\n---\n\n{body}\n"


def _metadata(run: FinishedRun, whole: bool) -> ModelCardData:
    """Return what the Hub reads of a model card."""
    from huggingface_hub import EvalResult, ModelCardData

    return ModelCardData(
        base_model=run.config.model.hub_id,
        library_name="transformers" if whole else "peft",
        license=run.config.model.licence if run.config.model.licence != "unknown" else None,
        pipeline_tag="text-generation",
        tags=["persona-sweeps", "character", run.config.peft.method],
        model_name=str(run.record["name"]),
        eval_results=[
            EvalResult(
                task_type="text-generation",
                dataset_type=run.config.dataset.source,
                dataset_name=_data(run),
                metric_type=name,
                metric_name=str(evaluation["descriptions"].get(name, {}).get("label", name)),
                metric_value=value,
            )
            for evaluation in evaluations_of(run)
            for name, value in evaluation["metrics"].items()
            if isinstance(value, int | float)
        ]
        or None,
    )


def _data(run: FinishedRun) -> str:
    persona = persona_of(run.config)
    return f"{run.config.dataset.source}{f', {persona}' if persona else ''}"


def _settings(run: FinishedRun) -> list[tuple[str, Any]]:
    """Return what a reader wants to know of the training, in words."""
    training, provenance, config = run.record["training"], run.record["provenance"], run.config
    packages = provenance.get("packages", {})
    return [
        ("method", config.peft.label),
        ("trainable parameters", f"{training['trainable_parameters']:,}"),
        ("learning rate", f"{config.peft.learning_rate:g}"),
        ("steps", f"{training['steps']} of {config.train.batch_size} examples"),
        ("epochs", f"{training['epochs']:g}"),
        ("precision", config.train.precision.value),
        ("base in", config.quantization.method if config.quantization.method != "none" else "full precision"),
        ("seed", config.seed),
        ("data fingerprint", f"`{provenance.get('data_fingerprint')}`"),
        ("weights fingerprint", f"`{provenance.get('model_fingerprint')}`"),
        ("code", f"commit `{provenance.get('git_commit')}`{' with changes' if provenance.get('git_dirty') else ''}"),
        (
            "with",
            ", ".join(f"{name} {packages[name]}" for name in ("torch", "transformers", "peft") if name in packages),
        ),
    ]


def evaluations_of(run: FinishedRun) -> list[Mapping[str, Any]]:
    """Return the records of a run's evaluations."""
    found = [read_json(path) for path in sorted(run.folder.evaluations.glob("*.json"))]
    return [one for one in found if one is not None and isinstance(one.get("metrics"), dict)]


def _board(run: FinishedRun, output_dir: Path) -> str:
    """Return the leaderboard of all results that may be compared with the run's, as Markdown."""
    keys = {evaluation.get("comparability_key") for evaluation in evaluations_of(run)}
    selection = analysis_module("read.selection").read_all(output_dir)
    comparable = replace(selection, results=[one for one in selection.results if one.key in keys])
    table = analysis_module("tables.leaderboard").build(comparable)
    text: str = analysis_module("formats").load("md").render([table]).replace(f"{output_dir}{os.sep}", "")
    lines = [line for line in text.splitlines()[1:] if not line.startswith("- The CSV")]
    return "\n".join(f"#{line}" if line.startswith("#") else line for line in lines).strip()


def _fence(text: str) -> str:
    """Return a fence that no line of a text closes."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    return "`" * max(3, longest + 1)
