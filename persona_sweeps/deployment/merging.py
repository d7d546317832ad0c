"""Merge what a run trained into its base model: one folder that any library loads without PEFT."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from persona_sweeps.config.schema import Precision, Scale, WeightsKind
from persona_sweeps.deployment.agreement import ITEMS, Agreement, Likelihoods, agreement, likelihoods
from persona_sweeps.deployment.host import FinishedRun, Host
from persona_sweeps.deployment.output import made_of, require_free
from persona_sweeps.deployment.predictor import Predictor
from persona_sweeps.errors import UserError
from persona_sweeps.methods.formats.files import AdapterError, find_files
from persona_sweeps.models.quantization import UNQUANTIZED
from persona_sweeps.progress_bars import no_progress_bars
from persona_sweeps.records.files import read_json, replacing, write_json
from persona_sweeps.records.provenance import environment, now

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

RECORD = "merge.json"
"""what was merged, and how well it agrees, beside the weights"""
TOLERANCE = {Precision.fp32: 1e-4, Precision.bf16: 3e-2}
"""the largest mean difference, in nats a token, that rounding in a precision explains"""
MERGEABLE = ("LORA", "IA3")
"""PEFT's types whose weights are products with the base's own"""


@dataclass(frozen=True)
class Merged:
    """The folder that was written, and how far its model agrees with the adapter on the same unquantized base.

    `as_trained` compares it with the base as it was stored in training, where that was quantized.
    """

    folder: Path
    agreement: Agreement
    as_trained: Agreement | None

    @property
    def bytes(self) -> int:
        return sum(path.stat().st_size for path in self.folder.rglob("*"))


def merge(
    run: FinishedRun, folder: Path, precision: Precision | None = None, device: str = "cpu", items: int = ITEMS
) -> Merged:
    """Write `folder` with the merged model in safetensors, its tokenizer and its chat template, and check it.

    What is written is loaded again, and its likelihoods of the run's held-out items are compared with the adapter's on
    the same base in the same precision, by default the run's own. A base that was quantized is loaded unquantized.

    Raises `UserError` for a method whose weights can't be merged, for another base than the run was trained on, for a
    folder with something else in it, and where the likelihoods differ by more than rounding explains.
    """
    require_mergeable(run)
    require_free(folder, run, RECORD)
    chosen = precision or run.config.train.precision
    whole = unquantized(run, chosen)
    adapted = Host([whole], device)
    require_same_weights(run, adapted.base.fingerprint)
    before = likelihoods(Predictor(adapted), items)
    tokenizer = adapted.base.tokenizer
    adapted.close()
    model = _merged(run, adapted.base.model)
    with replacing(folder) as written:
        save_whole(model, tokenizer, written)
        del model, adapted
        after = likelihoods(Predictor(Host([as_base(written, whole)], device)), items)
        found = _within(agreement(before, after), chosen)
        as_trained = None if whole.config.quantization == run.config.quantization else _as_trained(run, device, after)
        write_json(written / RECORD, _record(run, chosen, found, as_trained))
    return Merged(folder, found, as_trained)


def require_mergeable(run: FinishedRun) -> None:
    """Raise `UserError` if nothing was trained, or if what was trained isn't a change of the base's own weights."""
    if run.folder.model.is_dir():
        return
    path = getattr(run.config.peft, "folder", run.folder.adapter)  # that of an adapter that was trained elsewhere
    label = f"{run.name} ({run.config.peft.label})"
    if not path.is_dir():
        raise UserError(f"{label} trained nothing: there is nothing to merge into its base.")
    try:
        kinds = [str(files.config.get("peft_type")) for files in find_files(path)]
    except AdapterError as error:
        raise UserError(f"{error}") from None
    if any(kind not in MERGEABLE for kind in kinds):
        raise UserError(
            f"{label} has virtual tokens, which stand before a prompt and are no change of weights, so they can't be "
            f"merged: load {path} with PEFT, or talk with it by `persona-sweeps chat`."
        )


def require_same_weights(run: FinishedRun, fingerprint: str) -> None:
    trained_on = run.record["provenance"].get("model_fingerprint")
    if trained_on not in (None, fingerprint):
        raise UserError(
            f"{run.name} was trained on other weights of {run.config.model.hub_id} ({trained_on[:12]}…) than are found "
            f"here ({fingerprint[:12]}…): merged into these, it would be another model."
        )


def unquantized(run: FinishedRun, precision: Precision) -> FinishedRun:
    """Return the run on its base as it was before any quantization, in a precision."""
    train = replace(run.config.train, precision=precision)
    return replace(run, config=replace(run.config, quantization=UNQUANTIZED, train=train))


def as_base(folder: Path, run: FinishedRun) -> FinishedRun:
    """Return the run as a base model in a folder would answer for it."""
    card = replace(run.config.model, hub_id=str(folder), scale=Scale.full, weights=WeightsKind.pretrained)
    untuned = run.untuned()
    return replace(untuned, config=replace(untuned.config, model=card))


def _merged(run: FinishedRun, model: PreTrainedModel) -> PreTrainedModel:
    """Return the base model with the run's changes in its own weights, merged by PEFT where it isn't whole already."""
    if run.folder.model.is_dir():
        from transformers import AutoModelForCausalLM

        return AutoModelForCausalLM.from_pretrained(run.folder.model, dtype=model.dtype, trust_remote_code=False)
    from peft import PeftModel

    path = getattr(run.config.peft, "folder", run.folder.adapter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # what PEFT asks transformers for has another name there
        return PeftModel.from_pretrained(model, path).merge_and_unload(safe_merge=True)


def save_whole(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """Write a model in safetensors with its tokenizer and chat template, naming no code to run."""
    with no_progress_bars():
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    for name in ("config.json", "tokenizer_config.json"):
        kept = read_json(folder / name) or {}
        if kept.pop("auto_map", None) is not None:
            write_json(folder / name, kept)


def _within(found: Agreement, precision: Precision) -> Agreement:
    """Return the agreement. Raises `UserError` if it isn't one."""
    if not found.mean_difference <= TOLERANCE[precision]:
        raise UserError(
            f"The merged model answers otherwise than the adapter: {found}. More than {TOLERANCE[precision]:g} on "
            f"average is no rounding of {precision.value}, so nothing was written."
        )
    return found


def _as_trained(run: FinishedRun, device: str, after: Likelihoods) -> Agreement:
    """Compare the merged model with the adapter on its quantized base, on which it was trained."""
    trained = Predictor(Host([run], device))
    return agreement(Likelihoods(after.sequences, trained.sequence_nlls(after.sequences)), after)


def _record(run: FinishedRun, precision: Precision, found: Agreement, as_trained: Agreement | None) -> dict[str, Any]:
    return {
        **made_of(run),
        "precision": precision.value,
        "quantization_in_training": run.config.quantization.method,
        "agreement": asdict(found),
        "agreement_as_trained": None if as_trained is None else asdict(as_trained),
        "provenance": {"created": now(), **environment()},
    }
