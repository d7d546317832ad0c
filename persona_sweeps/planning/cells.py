"""The plan of a sweep: which cells are valid, the same, or done already, and how the rest is grouped.

Nothing here imports torch: asking again for a sweep that is done takes no longer than reading its records.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from persona_sweeps.config.kinds import kind_of
from persona_sweeps.config.schema import RunConfig, Scale, typed
from persona_sweeps.config.validate import refuse_strangers, validate
from persona_sweeps.data import load_corpus
from persona_sweeps.device import resolve_device, resolve_precision
from persona_sweeps.errors import ConfigError
from persona_sweeps.planning.obstacles import obstacles
from persona_sweeps.records.folders import RunFolder
from persona_sweeps.records.identity import digest, run_id, run_name
from persona_sweeps.records.redaction import redacted
from persona_sweeps.records.run import is_completed

OF_A_MODEL = ("model", "quantization", "train")
"""groups of the config that a run without a model records as null: it has none of them"""


@dataclass(slots=True)
class Cell:
    """One cell of a sweep: its overrides, its resolved config, and the run that it asks for."""

    overrides: tuple[str, ...]
    config: RunConfig
    resolved: dict[str, Any]
    """the config as plain containers, secrets redacted: what the record holds"""
    hydra: dict[str, Any]
    """Hydra's own config, for the run's .hydra folder"""
    run_id: str
    name: str
    folder: RunFolder
    done: bool
    """completed before this command"""
    study: dict[str, Any] | None = None
    """which trial of which study asked for it"""
    evaluated: tuple[str, ...] | None = None
    """of a run without a model: the ids of the examples that the model's runs are evaluated on"""


@dataclass(frozen=True, slots=True)
class Refused:
    """A cell that can't work, and why."""

    overrides: tuple[str, ...]
    reason: str


def make_cell(config: DictConfig, overrides: Sequence[str], hydra: dict[str, Any]) -> Cell:
    """Resolve and validate one composed config. Raises UserError for whatever is wrong with it."""
    device = resolve_device(config.device)
    OmegaConf.set_readonly(config, False)
    _settle_alpha(config)
    config.train.precision = resolve_precision(config.train.precision, device)
    typed_config = typed(config)
    container = OmegaConf.to_container(config, resolve=True, enum_to_str=True)
    assert isinstance(container, dict)
    refuse_strangers(container, typed_config)  # type: ignore[arg-type]
    validate(typed_config)
    corpus = load_corpus(typed_config.dataset)
    resolved: dict[str, Any] = redacted(container)
    basis = weights = _weights(typed_config)
    evaluated = None
    if not kind_of(typed_config.peft.method).has_model:
        evaluated = _evaluated(typed_config, weights)
        basis = digest(["evaluated", sorted(evaluated)])
        resolved |= dict.fromkeys(OF_A_MODEL)
    identity = run_id(resolved, corpus.fingerprint, basis)
    runs = Path(typed_config.output_dir) / "runs"
    name = run_name(resolved)
    folder = RunFolder(_folder(runs, name, identity))
    done = is_completed(folder)
    if not done and (in_the_way := obstacles(typed_config)):
        raise ConfigError(" ".join(in_the_way))
    return Cell(tuple(overrides), typed_config, resolved, hydra, identity, name, folder, done, evaluated=evaluated)


def _evaluated(config: RunConfig, weights: str) -> tuple[str, ...]:
    """Return what the model's runs are evaluated on. Raises UserError when its tokenizer can't be had."""
    from persona_sweeps.planning.evaluated import evaluated_ids

    return evaluated_ids(config, weights)


def _folder(runs: Path, name: str, identity: str) -> Path:
    """Return a run's folder: the one that ends with its id, whatever else it is called, or the one to make."""
    usual = runs / f"{name}-{identity}"
    if usual.is_dir() or not runs.is_dir():
        return usual
    return runs / _listed(runs, runs.stat().st_mtime_ns).get(identity, usual.name)


@lru_cache(maxsize=2)
def _listed(runs: Path, changed: int) -> dict[str, str]:
    """Return the names of all run folders by their ids, as they are since `changed`."""
    return {name.rpartition("-")[2]: name for name in sorted(os.listdir(runs), reverse=True)}


def _settle_alpha(config: DictConfig) -> None:
    """Write alpha_ratio, where it is set, as the alpha that it means: the two ways to say it are one run."""
    peft = config.peft
    if peft.get("alpha_ratio") is not None:
        peft.alpha = float(peft.alpha_ratio) * int(peft.r)
        peft.alpha_ratio = None


def _weights(config: RunConfig) -> str:
    """Say where the base model's weights come from, as far as that is known without the network."""
    from persona_sweeps.models.embedded import find_gguf
    from persona_sweeps.models.fingerprints import file_sha256

    card = config.model
    if card.scale is Scale.tiny:
        return "tiny"
    if Path(card.hub_id).expanduser().is_dir():
        from persona_sweeps.models.source import find_source

        return find_source(card).fingerprint
    gguf = find_gguf(card)
    return file_sha256(gguf) if gguf is not None else f"{card.hub_id}@{card.revision}"
