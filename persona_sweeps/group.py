"""Run one group on the engine: load the base, train its trials together, evaluate them together, write their records.

One trial's failure stays its own: a diverged loss ends that trial, and an error in one trial's set-up, scoring or
saving fails that run. An error in a pass that all share makes every unfinished trial run alone, so that the one to
blame is found.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from persona_sweeps.config import Precision
from persona_sweeps.console import Console
from persona_sweeps.device import resolve_device
from persona_sweeps.errors import TrialError
from persona_sweeps.identity import needs_generation
from persona_sweeps.member import Evaluated, GroupData, comparability, metrics, samples
from persona_sweeps.peak_memory import peak_device_bytes, peak_rss_bytes, restart_peaks
from persona_sweeps.plan import Cell
from persona_sweeps.review import stored_model
from persona_sweeps.run_writer import RunWriter

if TYPE_CHECKING:
    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.engine import Engine
    from persona_sweeps.training.limits import Limits
    from persona_sweeps.training.trial import Trial


@dataclass
class Member:
    """A run that takes part in a group: its place in the engine's list, its files, its data and its trial."""

    index: int
    cell: Cell
    data: GroupData
    writer: RunWriter
    trial: Trial


class BaseCache:
    """Keeps the last base model, since the next group often wants the same one."""

    def __init__(self) -> None:
        self._key: tuple[object, ...] | None = None
        self._base: BaseModel | None = None
        self._limits: dict[tuple[object, ...] | None, Limits] = {}

    def get(self, cell: Cell, tell: Callable[[str], None]) -> BaseModel:
        """Return the cell's base model, loading it unless it was the last one; measure memory from here on."""
        import torch

        from persona_sweeps.models.loading import load_base

        config = cell.config
        device = resolve_device(config.device)
        key = (str(config.model), str(config.quantization), config.train.precision, device)
        if key != self._key:
            self._base = None
        restart_peaks()
        if self._base is None:
            tell(f"Loading {stored_model(config)} …")
            dtype = torch.bfloat16 if config.train.precision is Precision.bf16 else torch.float32
            self._base, self._key = load_base(config.model, dtype, device, config.quantization), key
        return self._base

    @property
    def limits(self) -> Limits:
        """What has been learned about how much of the last base's work fits into memory; it outlives the base."""
        from persona_sweeps.training.limits import Limits

        return self._limits.setdefault(self._key, Limits())


def run_group(cells: Sequence[Cell], data: Mapping[str, GroupData], bases: BaseCache, console: Console) -> None:
    """Run a group to its end. `data` is by run id. Raises nothing but what ends the process."""
    from persona_sweeps.training.memory import in_plain_words, release_memory

    try:
        _run_together(cells, data, bases, console)
        return
    except Exception as error:
        if len(cells) == 1:
            _fail(RunWriter(cells[0]), in_plain_words(error), console)
            return
        console.note(f"A pass of {len(cells)} trials failed ({type(error).__name__}: {error}); each now runs alone.")
    # Out here the error is gone, and with its traceback the frames that held the group's trials and tensors.
    release_memory()
    for cell in cells:
        if cell.run_id not in console.ended:
            run_group([cell], data, bases, console)


def _run_together(cells: Sequence[Cell], data: Mapping[str, GroupData], bases: BaseCache, console: Console) -> None:
    from persona_sweeps.adapters.stack import AdapterStack
    from persona_sweeps.training.engine import Engine

    base = bases.get(cells[0], console.note)
    clock = _Clock(len(cells))
    with contextlib.ExitStack() as stack:
        members = _members(cells, data, base, console)
        for member in members:
            stack.callback(_abandon_unended, member.writer)
        adapters = stack.enter_context(AdapterStack(base.model, [member.trial.adapter for member in members]))
        trials = [member.trial for member in members]
        engine = Engine(base.model, adapters, trials, bases.limits, console.note)
        with console.training([(m.cell, m.trial.total_steps) for m in members if m.trial.total_steps]):
            engine.train(_step_logger(members, console))
        clock.lap("training", [member.trial.progress.unique_tokens for member in members])
        trained = [member for member in members if member.trial.failure is None]
        for member in members:
            if member.trial.failure is not None:
                _fail(member.writer, member.trial.failure, console)
        with console.evaluating(len(trained)):
            found = _evaluate(engine, trained, base)
        clock.lap("evaluation", [1] * len(members))
        for member in trained:
            _finish(member, found[member.index], base, clock, console)


def _members(cells: Sequence[Cell], data: Mapping[str, GroupData], base: BaseModel, console: Console) -> list[Member]:
    """Open each run's folder and make its trial; a run whose adapter can't be made fails here, alone."""
    from persona_sweeps.adapters import create_adapter
    from persona_sweeps.training.trial import Trial

    members: list[Member] = []
    for cell in cells:
        writer, own = RunWriter(cell), data[cell.run_id]
        try:
            adapter = create_adapter(base.model, base.tokenizer, cell.config.peft, cell.config.seed)
            trial = Trial(adapter, cell.config.train, cell.config.seed, own.train, own.evaluation)
        except Exception as error:
            _fail(writer, error, console)
            continue
        members.append(Member(len(members), cell, own, writer, trial))
    return members


def _step_logger(members: Sequence[Member], console: Console) -> Callable[[int, dict[str, float]], None]:
    def log(index: int, values: dict[str, float]) -> None:
        members[index].writer.log(values)
        console.step(members[index].cell, values)

    return log


def _evaluate(engine: Engine, members: Sequence[Member], base: BaseModel) -> dict[int, Evaluated]:
    """Score all members' completions in shared passes, and generate all their texts side by side."""
    nll = engine.evaluation_nll([member.index for member in members])
    found = {member.index: Evaluated(nll[member.index]) for member in members}
    for index, sums in engine.sequence_nll(
        {m.index: m.data.all_tokens for m in members if _wants_all_tokens(m.cell)}
    ).items():
        found[index].all_tokens_nll = sums
    _generate(engine, [member for member in members if needs_generation(member.cell.resolved)], base, found)
    return found


def _generate(engine: Engine, members: Sequence[Member], base: BaseModel, found: dict[int, Evaluated]) -> None:
    from persona_sweeps.evaluation.generation import generate, requests

    for group in _by_decoding(members):
        asked = [
            request
            for member in group
            for request in requests(member.index, member.data.prompts, member.data.ids, member.cell.config.seed)
        ]
        first = group[0]
        stop = first.data.prepared.stop_token_ids
        texts = [
            str(base.tokenizer.decode(tokens, skip_special_tokens=True)).strip()
            for tokens in generate(engine, asked, first.cell.config.generation, stop)
        ]
        for member in group:
            count = len(member.data.prompts)
            found[member.index].predictions, texts = texts[:count], texts[count:]


def _by_decoding(members: Sequence[Member]) -> Iterator[list[Member]]:
    groups: dict[str, list[Member]] = {}
    for member in members:
        key = f"{member.cell.config.generation} {member.data.prepared.stop_token_ids}"
        groups.setdefault(key, []).append(member)
    yield from groups.values()


def _wants_all_tokens(cell: Cell) -> bool:
    likelihood = cell.config.metrics.likelihood
    return likelihood is not None and likelihood.all_tokens


def _finish(member: Member, found: Evaluated, base: BaseModel, clock: _Clock, console: Console) -> None:
    """Score, save and record one run; an error here is this run's own."""
    from persona_sweeps.evaluation.metrics.overlap import score_overlap

    cell, data, writer = member.cell, member.data, member.writer
    try:
        if not np.isfinite(found.nll).all():
            raise TrialError("the likelihood of held-out examples was not a finite number; lower train.learning_rate")
        overlap = cell.config.metrics.overlap
        if overlap is not None and found.predictions is not None:
            found.overlap = score_overlap(found.predictions, list(data.prepared.eval["completion"]), overlap)
        _export(member, base)
        _describe(member, found, base, clock)
        writer.complete(samples(data, found))
        console.end(cell, "completed", writer.outcome.metrics)
    except Exception as error:
        _fail(writer, error, console)


def _export(member: Member, base: BaseModel) -> None:
    """Save what was trained: the adapter, or the whole model."""
    from persona_sweeps.adapters.export import export_adapter, export_model

    adapter, cell = member.trial.adapter, member.cell
    if adapter.full is not None:
        export_model(base.model, base.tokenizer, cell.folder.model)
    elif adapter.trainable_parameters():
        export_adapter(adapter, base.model, cell.config.model.hub_id, cell.folder.adapter)


def _describe(member: Member, found: Evaluated, base: BaseModel, clock: _Clock) -> None:
    """Fill in a run's outcome: everything in its record that only training and evaluation can tell."""
    from persona_sweeps.models.quantization import weights_bytes

    trial, outcome = member.trial, member.writer.outcome
    progress = trial.progress
    outcome.metrics = metrics(member.cell, member.data, found)
    outcome.data = member.data.counts
    outcome.training = {
        "steps": progress.step,
        "epochs": trial.epoch,
        "trainable_parameters": trial.adapter.trainable_parameters(),
        "tokens": progress.tokens,
        "unique_tokens": progress.unique_tokens,
        "final_train_nll": progress.train_nll if progress.step else None,
        "best_eval_nll": progress.best_eval_nll,
    }
    outcome.resources = clock.share(member.index) | {
        "weights_bytes": weights_bytes(base.model),
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_device_bytes": peak_device_bytes(),
        "device": str(base.model.device),
    }
    if progress.micro_batch_size is not None:
        outcome.resources["micro_batch_size"] = progress.micro_batch_size
    outcome.fingerprints = {
        "data_fingerprint": member.data.prepared.data_fingerprint,
        "template_fingerprint": member.data.prepared.template_fingerprint,
        "model_fingerprint": base.fingerprint,
    }
    outcome.comparability_key = comparability(member.cell, member.data)


class _Clock:
    """Wall and CPU seconds of a group, shared out among its members by what each had done."""

    def __init__(self, group_size: int) -> None:
        self.group_size = group_size
        self._laps: list[tuple[float, list[float]]] = []
        self._wall = time.perf_counter()
        self._cpu = time.process_time()

    def lap(self, name: str, work: Sequence[float]) -> None:
        """End a stage, in which each member did this much work."""
        cpu = time.process_time()
        total = sum(work) or 1
        self._laps.append((cpu - self._cpu, [part / total for part in work]))
        self._cpu = cpu

    def share(self, index: int) -> dict[str, float]:
        """Return the group's wall seconds and this member's share of its CPU seconds."""
        seconds = sum(cpu * shares[index] for cpu, shares in self._laps)
        return {
            "wall_seconds": time.perf_counter() - self._wall,
            "cpu_seconds": seconds,
            "group_size": self.group_size,
        }


def _abandon_unended(writer: RunWriter) -> None:
    if writer.status == "running":
        writer.abandon()


def _fail(writer: RunWriter, error: BaseException, console: Console) -> None:
    writer.fail(error)
    console.end(writer.cell, "failed", {}, f"{type(error).__name__}: {error}")
