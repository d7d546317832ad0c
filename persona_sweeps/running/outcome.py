"""How a run of a group ends: what is saved, and what its record says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from persona_sweeps.errors import TrialError
from persona_sweeps.running.clock import GroupClock
from persona_sweeps.running.group_run import Evaluated, Member, comparability, metrics, samples
from persona_sweeps.running.peak_memory import peak_device_bytes, peak_rss_bytes

if TYPE_CHECKING:
    from persona_sweeps.models.loading import BaseModel


def finish(member: Member, found: Evaluated, base: BaseModel, clock: GroupClock, resumes: int = 0) -> None:
    """Score, save and record one run as completed. Raises whatever keeps it from that: an error of this run's own."""
    from persona_sweeps.metrics.overlap import score_overlap

    cell, data, writer = member.cell, member.data, member.writer
    if not np.isfinite(found.nll).all():
        raise TrialError("the likelihood of held-out examples was not a finite number; lower train.learning_rate")
    overlap = cell.config.metrics.overlap
    if overlap is not None and found.predictions is not None:
        found.overlap = score_overlap(found.predictions, list(data.prepared.eval["completion"]), overlap)
    _export(member, base)
    writer.outcome.metrics = metrics(cell, data, found)
    describe(member, base, clock, resumes)
    writer.complete(samples(data, found))


def prune(member: Member, base: BaseModel, clock: GroupClock, resumes: int = 0) -> None:
    """Record a run that was ended early, with what it had come to; its adapter isn't kept."""
    items = member.trial.progress.eval_items
    assert items is not None and member.trial.pruned is not None
    member.writer.outcome.metrics = metrics(member.cell, member.data, Evaluated(items))
    describe(member, base, clock, resumes)
    member.writer.prune(member.trial.pruned)


def _export(member: Member, base: BaseModel) -> None:
    """Save what was trained: the adapter, or the whole model."""
    from persona_sweeps.methods.export import export_adapter, export_model

    adapter, cell = member.trial.adapter, member.cell
    if adapter.full is not None:
        export_model(base.model, base.tokenizer, cell.folder.model)
    elif adapter.trainable_parameters():
        export_adapter(adapter, base.model, cell.config.model.hub_id, cell.folder.adapter)


def describe(member: Member, base: BaseModel, clock: GroupClock, resumes: int = 0) -> None:
    """Fill in a run's outcome but for its metrics: what only its training can tell, as far as it came."""
    from persona_sweeps.models.quantization import weights_bytes

    trial, outcome = member.trial, member.writer.outcome
    progress = trial.progress
    outcome.data = member.data.counts
    outcome.training = {
        "steps": progress.step,
        "epochs": trial.epoch,
        "trainable_parameters": trial.adapter.trainable_parameters(),
        "tokens": progress.tokens,
        "unique_tokens": progress.unique_tokens,
        "examples": trial.examples_seen,
        "final_train_nll": progress.train_nll if progress.step else None,
        "best_eval_nll": progress.best_eval_nll,
    }
    outcome.resources = clock.share(member.index) | {
        "weights_bytes": weights_bytes(base.model),
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_device_bytes": peak_device_bytes(),
        "device": str(base.model.device),
    }
    if resumes:
        outcome.resources["resumes"] = resumes
    if progress.micro_batch_size is not None:
        outcome.resources["micro_batch_size"] = progress.micro_batch_size
    outcome.fingerprints = {
        "data_fingerprint": member.data.prepared.data_fingerprint,
        "template_fingerprint": member.data.prepared.template_fingerprint,
        "model_fingerprint": base.fingerprint,
    }
    outcome.comparability_key = comparability(member.cell, member.data)
