"""A cell of a sweep: its config, the run that it asks for, and what of its three stages is still missing.

Nothing here imports torch: asking again for a sweep that is done takes no longer than reading its records.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from omegaconf import DictConfig, OmegaConf

from persona_sweeps.config.method_keys import apply_method_keys
from persona_sweeps.config.schema import RunConfig, typed
from persona_sweeps.config.validate import refuse_unknown_keys, validate
from persona_sweeps.data import corpus_of
from persona_sweeps.device import resolve_device, resolve_precision
from persona_sweeps.methods.start import find_start
from persona_sweeps.metrics.metric import Metric, Request
from persona_sweeps.models.own_card import settle_card
from persona_sweeps.models.source import Weights, locate
from persona_sweeps.planning.identify import identify
from persona_sweeps.planning.obstacles import Obstacle, obstacles
from persona_sweeps.planning.run_names import run_name
from persona_sweeps.records.evaluation import Outcome, is_evaluated, outcome
from persona_sweeps.records.folders import RunFolder, run_folder
from persona_sweeps.records.predictions import read_predictions
from persona_sweeps.records.redaction import redacted
from persona_sweeps.records.run import changed_weights, has_trained, read_record


class Stage(Enum):
    """The first stage of a cell whose result is missing."""

    train = "train"
    predict = "predict"
    score = "score"
    done = "done"


@dataclass(slots=True)
class Cell:
    """One cell of a sweep: its overrides, its resolved config, and the run and the evaluation that it asks for."""

    overrides: tuple[str, ...]
    config: RunConfig
    resolved: dict[str, Any]
    """the config as plain containers, secrets redacted"""
    hydra: dict[str, Any]
    """Hydra's own config, for the run's .hydra folder"""
    run_id: str
    setting_key: str
    name: str
    folder: RunFolder
    weights: Weights | None
    """where the base model's weights come from; None without a model"""
    metrics: dict[str, Metric]
    """by name, those that the predictor can answer"""
    requests: dict[Request, str]
    """the predictions that the metrics score, with their ids"""
    evaluation_id: str
    stage: Stage
    """as it was when this command began"""
    study: dict[str, Any] | None = None
    """which trial of which study asked for it"""
    evaluated: tuple[str, ...] | None = None
    """of a run without a model: the ids of the examples that the model's runs are evaluated on"""
    obstacles: tuple[Obstacle, ...] = ()
    """what keeps the stages that are missing from running on this machine"""

    @property
    def done(self) -> bool:
        """Whether it was evaluated before this command."""
        return self.stage is Stage.done

    @property
    def outcome(self) -> Outcome:
        """What has come of it by now, as its files say."""
        return outcome(self.folder, self.evaluation_id)

    def look_again(self) -> Stage:
        """Return the first stage that is missing by now, which another process may have changed; note it."""
        self.stage = _stage(self.folder, self.evaluation_id, self.requests.values())
        return self.stage

    def missing(self) -> dict[Request, str]:
        """Return the predictions that aren't there, or can't be used."""
        return {request: name for request, name in self.requests.items() if not read_predictions(self.folder, name)}


@dataclass(frozen=True, slots=True)
class Refused:
    """A cell that can't run, and why."""

    overrides: tuple[str, ...]
    reason: str


def make_cell(config: DictConfig, overrides: Sequence[str], hydra: dict[str, Any]) -> Cell:
    """Resolve and validate one composed config. Raises UserError for whatever is wrong with it."""
    device = resolve_device(config.device)
    OmegaConf.set_readonly(config, False)
    apply_method_keys(config, overrides)
    config.train.precision = resolve_precision(config.train.precision, device)
    settle_card(config.model, any(text.startswith("model.name=") for text in overrides))
    run = typed(config)
    container = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    assert isinstance(container, dict)
    refuse_unknown_keys(container, run)  # type: ignore[arg-type]
    validate(run)
    if (start := getattr(run.peft, "start_from", None)) is not None:
        run.peft.start_from = str(find_start(start, run.output_dir))
    resolved: dict[str, Any] = redacted(container)
    resolved["peft"] |= {key: value for key, value in asdict(run.peft).items() if key in resolved["peft"]}
    corpus_of(run)  # what is wrong with the data is said before what is wrong with the weights
    weights = locate(run.model)
    evaluated = None
    if not run.peft.has_model:
        from persona_sweeps.planning.evaluated import evaluated_ids

        evaluated = evaluated_ids(run, weights)
    found = identify(run, resolved, weights, evaluated)
    name = run_name(resolved, run.peft, run.peft.name_parts)
    folder = run_folder(run.output_dir, name, found.run_id)
    stage = _stage(folder, found.evaluation_id, found.requests.values())
    return Cell(
        tuple(overrides), run, resolved, hydra, found.run_id, found.setting_key, name, folder,
        weights if run.peft.has_model else None, found.metrics, found.requests, found.evaluation_id, stage,
        evaluated=evaluated, obstacles=obstacles(run, weights) if stage in (Stage.train, Stage.predict) else (),
    )  # fmt: skip


def _stage(folder: RunFolder, evaluation: str, predictions: Iterable[str]) -> Stage:
    record = read_record(folder)
    if record is None or record["status"] != "completed":
        return Stage.train
    if is_evaluated(folder, evaluation) and not changed_weights(folder, record):
        return Stage.done
    if not has_trained(folder, record):
        return Stage.train
    return Stage.score if all(read_predictions(folder, name) for name in predictions) else Stage.predict
