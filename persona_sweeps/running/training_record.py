"""Save what a run trained, and fill in its record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from persona_sweeps.records.run import UNTRAINED
from persona_sweeps.running.adapter_card import write_adapter_card
from persona_sweeps.running.clock import GroupClock
from persona_sweeps.running.group_run import GroupRun
from persona_sweeps.running.peak_memory import peak_device_bytes, peak_rss_bytes

if TYPE_CHECKING:
    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.trial import Trial


def complete(run: GroupRun, base: BaseModel, clock: GroupClock, resumes: int = 0) -> None:
    """Save what a run trained, and record it as completed. Raises any error of these; it fails this run only."""
    assert run.writer is not None
    if run.trial is not None:
        run.writer.check()
        run.trial.keep_best()
        name, folder = run.cell.config.model.hub_id, run.cell.folder.path
        run.cell.config.peft.save(run.trial.adapter, base.model, base.tokenizer, name, folder)
        write_adapter_card(run.cell, base.fingerprint)
    describe(run, base, clock, resumes)
    run.writer.complete()


def prune(run: GroupRun, base: BaseModel, clock: GroupClock, resumes: int = 0) -> None:
    """Record a run that was stopped early, with its progress; its adapter isn't saved."""
    assert run.writer is not None and run.trial is not None and run.trial.pruned is not None
    describe(run, base, clock, resumes)
    run.writer.prune(run.trial.pruned)


def describe(run: GroupRun, base: BaseModel, clock: GroupClock, resumes: int = 0) -> None:
    """Fill in the parts of a run's record that describe its training so far."""
    from persona_sweeps.models.quantization import weights_bytes

    assert run.writer is not None
    outcome = run.writer.outcome
    outcome.data = run.data.training_counts if run.cell.config.peft.reads_training_data else {}
    outcome.training = UNTRAINED | (_training(run.trial) if run.trial is not None else {})
    outcome.resources = clock.share(run.cell.run_id) | {
        "weights_bytes": weights_bytes(base.model),
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_device_bytes": peak_device_bytes(),
        "device": str(base.model.device),
    }
    if resumes:
        outcome.resources["resumes"] = resumes
    if run.trial is not None and (size := run.trial.progress.micro_batch_size) is not None:
        outcome.resources["micro_batch_size"] = size
    outcome.fingerprints = {
        "data_fingerprint": run.data.prepared.data_fingerprint,
        "template_fingerprint": run.data.prepared.template_fingerprint,
        "model_fingerprint": base.fingerprint,
    }


def _training(trial: Trial) -> dict[str, Any]:
    progress = trial.progress
    return {
        "steps": progress.step,
        "epochs": trial.epoch,
        "trainable_parameters": trial.adapter.trainable_parameters(),
        "tokens": progress.tokens,
        "unique_tokens": progress.unique_tokens,
        "examples": trial.examples_seen,
        "final_train_nll": progress.train_nll if progress.step else None,
        "eval_nll": progress.eval_nll,
        "best_eval_nll": progress.best_eval_nll,
        **_monitored(trial),
    }


def _monitored(trial: Trial) -> dict[str, Any]:
    """Return which step was kept, and whether patience ended the training, if that depends on a validation part."""
    if not trial.config.monitored:
        return {}
    kept = trial.progress.best_step if trial.config.keep == "best" else trial.progress.step
    return {"kept_step": kept, "stopped_early": trial.progress.step < trial.total_steps}
