"""Run one group on the engine: load the base, train its trials together, evaluate them together, write their records.

One trial's failure stays its own: a diverged loss ends that trial, and an error in one trial's set-up, scoring or
saving fails that run. An error in a pass that all share makes every unfinished trial run alone, so that the one to
blame is found.
"""

from __future__ import annotations

import contextlib
import gc
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
from persona_sweeps.plan import Cell
from persona_sweeps.provenance import peak_rss_bytes
from persona_sweeps.run_writer import RunWriter

if TYPE_CHECKING:
    from persona_sweeps.models.loading import BaseModel
    from persona_sweeps.training.engine import Engine
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

    def get(self, cell: Cell) -> BaseModel:
        import torch

        from persona_sweeps.models.loading import load_base

        config = cell.config
        device = resolve_device(config.device)
        key = (str(config.model), config.train.precision, device)
        if key != self._key or self._base is None:
            self._base = None
            gc.collect()
            dtype = torch.bfloat16 if config.train.precision is Precision.bf16 else torch.float32
            self._base, self._key = load_base(config.model, dtype, device), key
        return self._base


def run_group(cells: Sequence[Cell], data: Mapping[str, GroupData], bases: BaseCache, console: Console) -> None:
    """Run a group to its end. `data` is by run id. Raises nothing but what ends the process."""
    try:
        _run_together(cells, data, bases, console)
    except Exception as error:
        if len(cells) == 1:
            _fail(RunWriter(cells[0]), error, console)
            return
        console.note(f"A pass of {len(cells)} trials failed ({type(error).__name__}: {error}); each now runs alone.")
        for cell in cells:
            if cell.run_id not in console.ended:
                run_group([cell], data, bases, console)


def _run_together(cells: Sequence[Cell], data: Mapping[str, GroupData], bases: BaseCache, console: Console) -> None:
    from persona_sweeps.adapters.stack import AdapterStack
    from persona_sweeps.training.engine import Engine

    console.note(f"Loading {cells[0].config.model.name} ({cells[0].config.train.precision.value}) …")
    base = bases.get(cells[0])
    clock = _Clock(len(cells))
    with contextlib.ExitStack() as stack:
        members = _members(cells, data, base, console)
        for member in members:
            stack.callback(_abandon_unended, member.writer)
        adapters = stack.enter_context(AdapterStack(base.model, [member.trial.adapter for member in members]))
        engine = Engine(base.model, adapters, [member.trial for member in members])
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
    from persona_sweeps.adapters.export import export_adapter
    from persona_sweeps.evaluation.metrics.overlap import score_overlap

    cell, data, writer, trial = member.cell, member.data, member.writer, member.trial
    try:
        if not np.isfinite(found.nll).all():
            raise TrialError("the likelihood of held-out examples was not a finite number; lower train.learning_rate")
        overlap = cell.config.metrics.overlap
        if overlap is not None and found.predictions is not None:
            found.overlap = score_overlap(found.predictions, list(data.prepared.eval["completion"]), overlap)
        if trial.adapter.trainable_parameters():
            export_adapter(trial.adapter, base.model, cell.config.model.hub_id, cell.folder.adapter)
        _describe(member, found, base, clock)
        writer.complete(samples(data, found))
        console.end(cell, "completed", writer.outcome.metrics)
    except Exception as error:
        _fail(writer, error, console)


def _describe(member: Member, found: Evaluated, base: BaseModel, clock: _Clock) -> None:
    """Fill in a run's outcome: everything in its record that only training and evaluation can tell."""
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
        "peak_rss_bytes": peak_rss_bytes(),
        "peak_device_bytes": _peak_device_bytes(),
        "device": str(base.model.device),
    }
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


def _peak_device_bytes() -> int | None:
    import torch

    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None


def _abandon_unended(writer: RunWriter) -> None:
    if writer.status == "running":
        writer.abandon()


def _fail(writer: RunWriter, error: BaseException, console: Console) -> None:
    writer.fail(error)
    console.end(writer.cell, "failed", {}, f"{type(error).__name__}: {error}")
